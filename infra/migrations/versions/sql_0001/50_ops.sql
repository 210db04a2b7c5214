-- What running processes agree on.

-- Who alone may do a thing at present. The epoch grows with every holder, so that a late act of an old one is known.
-- The schema itself stands already: the migrations keep their own place in it.
CREATE TABLE ops.leases (
    name text PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Where a process manager starts to read after a restart.
CREATE TABLE ops.watermarks (
    name text PRIMARY KEY,
    sequence bigint NOT NULL
) WITH (fillfactor = 50);

-- Snapshots of applications of the eventsourcing library: a cache that may be deleted. Versions have holes.
CREATE TABLE ops.library_snapshots (
    originator_id text NOT NULL,
    version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, version)
);
