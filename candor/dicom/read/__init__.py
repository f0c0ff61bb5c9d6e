"""Read an input folder: from files to radiographs ready to display."""
