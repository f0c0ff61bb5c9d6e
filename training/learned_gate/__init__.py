"""The learned gate: fits the network that says by the heatmaps where the classifier is wrong, and judges it."""
