"""The model bundle, preprocessing, engines and networks."""
