"""Selective prediction: what a gate gains by deferring, and how well a team of gate and radiologist answers."""
