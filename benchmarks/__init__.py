"""Measurements side by side, in one run: ratios hold on a noisy machine, absolute times do not."""
