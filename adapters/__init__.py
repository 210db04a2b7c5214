"""The world outside, one package per technology, each behind a port of those who need it."""
