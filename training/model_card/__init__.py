"""A bundle's model card, rendered from its JSON files."""
