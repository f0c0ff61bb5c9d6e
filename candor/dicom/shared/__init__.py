"""Shared by reading and writing: attributes, identity, values, codes, and the writing of files."""
