"""NATS: the log's mirror in JetStream, and market marks and status over core NATS."""
