"""Fitting the calibration, and what a fit is worth."""
