"""Bundles: export, import of published weights, and the files of a bundle."""
