-- The log: events, and what an append checks before it adds to them.

-- One schema per concern, so that rights can be given by concern.
CREATE SCHEMA log;

-- The end of the log, and the lock that puts every append behind the one before it. One row.
-- Each append rewrites the row, so its page is left nearly empty for the versions of it that are still seen.
CREATE TABLE log.head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    recorded_at timestamptz NOT NULL,
    restore_count integer NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- The log begins at nothing: 32 zero bytes stand before the first event.
INSERT INTO log.head (sequence, hash, recorded_at)
VALUES (0, decode(repeat('00', 32), 'hex'), '-infinity');

-- The system of record. Rows are inserted by append_batch and never changed.
CREATE TABLE log.events (
    sequence bigint NOT NULL,
    stream_id text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    command_id text NOT NULL,
    metadata bytea NOT NULL,
    payload bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    CONSTRAINT event_at_most_256_kib CHECK (octet_length(metadata) + octet_length(payload) <= 262144)
) PARTITION BY RANGE (sequence);

-- Where each stream ends. A partitioned table cannot carry a unique key without its partition key, so this can.
-- Events up to snapshot_sequence are covered by a snapshot: readers start behind it and skip old partitions.
CREATE TABLE log.streams (
    stream_id text PRIMARY KEY,
    version bigint NOT NULL,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
    snapshot_sequence bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- The outcome of each command that carried a key, so that the same key again gets the same answer again.
-- No body, no personal data, no token.
CREATE TABLE log.commands (
    scope text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

-- Finds the keys that are no longer honoured. Rows lie in order of time, so an index of block ranges will do.
CREATE INDEX commands_recorded_at ON log.commands USING brin (recorded_at) WITH (pages_per_range = 32);

-- Values that only one owner may have, by their keyed hash.
CREATE TABLE log.claims (
    kind text NOT NULL,
    key_hash bytea NOT NULL,
    owner text NOT NULL,
    PRIMARY KEY (kind, key_hash)
);
