"""The words that people read: texts in each language, and ``results.json``."""
