"""Learning: train a network by a recipe."""
