"""The user: a person who can log in."""
