"""What every result object must hold: its templates, content items and attributes."""
