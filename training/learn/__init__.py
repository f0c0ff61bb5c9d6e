"""Learning: from a recipe to weights."""
