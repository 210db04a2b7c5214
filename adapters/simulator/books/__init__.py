"""Every client's books, made of records alone, and the journal that keeps those."""
