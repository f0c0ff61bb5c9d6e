"""Classifiers to compare a network with."""
