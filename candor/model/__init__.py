"""The model bundle and what runs it: preprocessing, engines, networks."""
