"""The result objects except the report: overlays, outlines, heatmap values, key objects, rejection notes."""
