"""Scripts of the Makefile, and a small PACS for trials."""
