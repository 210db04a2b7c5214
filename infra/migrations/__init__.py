"""The database's schema and its history."""
