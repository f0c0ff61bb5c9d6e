"""The result objects beside the report: overlays, outlines, heatmaps as numbers, key objects, rejection notes."""
