"""Out-of-distribution checks: unlike the training images, or like a child."""
