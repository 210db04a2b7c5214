"""Backups of the log, of the users' keys apart from it, and putting them back."""
