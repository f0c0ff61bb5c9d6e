"""The network that finds the lung field: its data, training, export and score."""
