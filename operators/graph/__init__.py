"""What all operators share: the SDK or the plain runner, base classes, jobs, the output folder."""
