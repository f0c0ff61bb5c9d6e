"""Bundles: export, import, and the files that belong together."""
