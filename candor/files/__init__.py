"""Reading and writing files: atomic writes, settings and JSON files, hashes, errors without patient data."""
