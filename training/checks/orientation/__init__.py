"""Train the orientation check, the small network of :mod:`candor.picture.orientation`, and measure it."""
