"""Packaging and deployment: the MAP, the node."""
