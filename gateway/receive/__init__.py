"""Receiving: from an association to a durable file and its row in the journal."""
