"""Where the network looked: heatmaps, their outlines, and overlays for people."""
