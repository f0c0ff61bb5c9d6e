"""Assessing: from a complete study to its results, or to a report that nothing was assessed."""
