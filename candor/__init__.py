"""The core of Candor: domain types and pure functions that know no SDK and no network."""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only, not for diagnosis"
"""Stands in every output; nothing leaves Candor without it."""
