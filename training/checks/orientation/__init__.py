"""Train the screen, the small network of :mod:`candor.picture.orientation`, and measure it."""
