"""Metrics and their intervals, for all that measures."""
