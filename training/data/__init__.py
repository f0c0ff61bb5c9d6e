"""Data sets: labelled pictures, who is in which set, and batches of them."""
