"""Passwords, tokens, keys and sealed fields."""
