"""PostgreSQL: the event log, the read models' rows, keys and leases."""
