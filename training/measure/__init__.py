"""Measure a bundle and its gate on patients to whom neither was fitted."""
