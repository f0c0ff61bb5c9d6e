"""Metrics with bootstrap intervals, shared by everything that measures a model."""
