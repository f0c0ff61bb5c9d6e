"""Thresholds with a guarantee: fitting them, and whether the guarantee was kept."""
