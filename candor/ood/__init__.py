"""Out-of-distribution checks: distance from the training images, and pictures that look like a child's."""
