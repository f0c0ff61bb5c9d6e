"""Makes the screen, the small network of :mod:`cxr.quality.screen`, and measures it."""
