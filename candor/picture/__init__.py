"""What a radiograph shows of its own quality, before the network is asked anything about findings."""
