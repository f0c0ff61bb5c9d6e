"""An evaluation: its figures, their plots, and the report that shows both."""
