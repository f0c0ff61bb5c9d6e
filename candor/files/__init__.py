"""Files: whole or absent, read with checks, and named in errors without what they hold."""
