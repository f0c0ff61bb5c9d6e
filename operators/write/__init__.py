"""The operators that write: result objects, and the results as a whole."""
