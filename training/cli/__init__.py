"""The verbs of training, one module a family."""
