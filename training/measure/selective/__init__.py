"""Selective prediction: what a gate gains by deferring, and what a team of gate and radiologist would answer."""
