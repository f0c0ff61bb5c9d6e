"""What a study is, and the types that every stage shares."""
