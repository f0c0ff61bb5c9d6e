"""The operators that read: from a job to pictures worth assessing."""
