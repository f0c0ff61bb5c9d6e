"""What the DICOM conformance statement is made of: the node's own tables, and objects that it has really made."""
