"""Reading: from an input folder to radiographs ready to display."""
