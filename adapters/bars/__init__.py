"""Stored bars of instruments."""
