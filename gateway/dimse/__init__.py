"""DICOM over the network: associations, contexts, statuses, TLS."""
