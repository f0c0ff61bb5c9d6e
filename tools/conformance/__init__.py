"""The DICOM conformance statement, made from the node's own tables and from example objects."""
