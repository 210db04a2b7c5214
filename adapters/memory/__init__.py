"""A log in memory: for simulated worlds and for tests, held to the rules of PostgreSQL's by the same contract tests."""
