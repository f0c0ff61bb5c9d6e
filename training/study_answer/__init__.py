"""Fit the answer for a study: a score of any abnormality, thresholds that rule it out, and the worklist's priority."""
