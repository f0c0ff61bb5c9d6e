"""Thin MONAI Deploy operators: each receives a case, calls the core, and emits the case."""
