"""The node, measured: receiving, sending, the whole loop, several workers, and what a crash costs."""
