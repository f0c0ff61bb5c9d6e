"""Fuzzing of the border at which bytes become data sets."""
