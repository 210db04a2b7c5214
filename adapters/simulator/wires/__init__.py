"""Connections that end, stall or say too much, which an application cannot bring about by itself."""
