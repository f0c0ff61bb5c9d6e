"""A bundle's model card, from its JSON files."""
