"""Checks of a radiograph's quality and preparation of its pixels, before the classifier runs."""
