"""The page: what became of every study, for people; rendered on the server, without a script, and without internet."""
