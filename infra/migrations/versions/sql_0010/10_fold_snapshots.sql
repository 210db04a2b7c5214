-- What a process manager knew of the log at a sequence: a cache that may be deleted. The hash is that of the event there.
CREATE TABLE ops.fold_snapshots (
    name text PRIMARY KEY,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    schema text NOT NULL,
    state bytea NOT NULL
) WITH (fillfactor = 50);

-- It is written every few seconds and read once: to compress it would cost more than it saves.
ALTER TABLE ops.fold_snapshots ALTER COLUMN state SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE ON ops.fold_snapshots TO khata_writer;
