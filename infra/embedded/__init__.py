"""PostgreSQL and NATS as children of ours, started from the wheels that carry them."""
