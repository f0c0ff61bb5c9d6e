"""The systems that Candor is measured against, and Candor as they are run."""
