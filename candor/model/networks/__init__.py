"""The networks: trunks, heads, and the names under which a bundle knows them."""
