"""The report: a Structured Report with TID 1500 as its root."""
