"""The gate: fitting its thresholds, and measuring how often their guarantee is kept."""
