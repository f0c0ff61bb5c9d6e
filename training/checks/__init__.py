"""Make the checks of a picture, and measure them."""
