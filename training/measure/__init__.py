"""Measuring a bundle and its gate on patients that trained neither."""
