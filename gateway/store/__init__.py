"""What the processes share: the database, the spool, and what is written in them."""
