"""The learned gate: fit the network that finds the classifier's errors by its heatmaps, and judge it."""
