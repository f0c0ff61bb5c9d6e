"""The verbs of the node, one module a family."""
