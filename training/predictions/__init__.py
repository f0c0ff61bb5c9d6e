"""Predictions: a network's outputs for a data set, as a table."""
