"""Dhan's REST API and market feed, spoken as a client."""
