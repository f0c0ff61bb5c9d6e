"""The checks of a picture, measured: what they do to sets of pictures, and what they cost."""
