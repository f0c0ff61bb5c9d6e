"""What a bundle is measured by: figures, the plots of them, and the report that shows both."""
