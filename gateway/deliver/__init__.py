"""Delivering: results go to each destination until it is sure, and can be recalled."""
