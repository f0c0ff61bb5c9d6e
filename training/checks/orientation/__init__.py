"""Makes the screen, the small network of :mod:`candor.picture.orientation`, and measures it."""
