"""Making the checks of a picture, and measuring them."""
