"""Calibration: fitting it, and measuring what a fit gains."""
