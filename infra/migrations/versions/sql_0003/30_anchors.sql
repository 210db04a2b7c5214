-- Anchors lie outside of the database. What is kept of them here shows when the last of them is gone there.
CREATE TABLE log.anchored (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number bigint NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL
);

-- An anchor covers the commands whose events it covers, and so does each check of it.
-- Rows lie in order of time, which is the order of sequences, so an index of block ranges will do.
CREATE INDEX commands_first_sequence ON log.commands USING brin (first_sequence) WITH (pages_per_range = 32);
