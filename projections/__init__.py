"""All that reads from the log: read models, the projector and queries."""
