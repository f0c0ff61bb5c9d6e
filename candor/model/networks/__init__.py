"""The networks: trunks, heads, and the names that bundles use for them."""
