"""What a network says of a data set, as a table."""
