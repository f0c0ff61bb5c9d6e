"""The operators that answer: from a picture to a decision for each finding."""
