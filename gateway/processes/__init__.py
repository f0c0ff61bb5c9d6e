"""The node's processes, and the supervisor that keeps them alive."""
