"""Tokens, and the log-ins that they come from."""
