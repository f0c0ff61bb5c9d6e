"""The command line of training: one module for each family of verbs."""
