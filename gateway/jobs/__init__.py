"""Jobs that outlast a crash, and the leases of those who do them."""
