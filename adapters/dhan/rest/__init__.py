"""The venue's REST interface by subject."""
