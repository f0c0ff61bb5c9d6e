"""How Candor is packed and deployed: the MAP, the node."""
