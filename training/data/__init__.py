"""Data sets: labelled pictures, the division of their patients into sets, and batches of them."""
