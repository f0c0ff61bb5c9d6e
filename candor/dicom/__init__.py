"""Reading radiographs from DICOM and writing results as DICOM; imports no torch."""
