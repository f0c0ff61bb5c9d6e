"""Read radiographs from DICOM, and write results as DICOM; without torch."""
