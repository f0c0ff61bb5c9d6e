"""What the pages show: rows, results, pictures, charts."""
