"""What reading and writing share: attributes, identity, values, codes, and how a file is written."""
