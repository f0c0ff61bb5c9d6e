"""Watching the node: metrics, drift, accuracy, retention, the webhook."""
