"""What the Makefile runs, and a small PACS for trials."""
