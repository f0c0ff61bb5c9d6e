"""Files and peers that mean harm, or might as well."""
