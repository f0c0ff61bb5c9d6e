"""Training, calibrating, evaluating and exporting the bundle that the application runs."""
