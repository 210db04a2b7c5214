-- Snapshots of aggregates: a cache. Whoever deletes a row, or all of them, changes how long a start takes, nothing else.

-- The state that a stream's first `version` events lead to. `sequence` and `leaf` are those of the last of them, and a
-- reader holds them against the log before it believes the row; `schema` says what the bytes are.
CREATE TABLE log.snapshots (
    stream_id text PRIMARY KEY,
    version bigint NOT NULL,
    sequence bigint NOT NULL,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
    schema text NOT NULL,
    state bytea NOT NULL
);

-- A landmark in each stream, true for ever and independent of any snapshot: what comes after snapshot_version lies after
-- snapshot_sequence. Who reads a stream from there, or from later, need not look into older partitions.
ALTER TABLE log.streams ADD COLUMN snapshot_version bigint NOT NULL DEFAULT 0;

-- Keep a snapshot, unless a later one is there, and set the landmark just before its last event, so that a reader who
-- starts from the snapshot still reads that event. Tells whether the log has that event.
CREATE FUNCTION log.keep_snapshot(
    of_stream text, at_version bigint, at_sequence bigint, with_leaf bytea, in_schema text, of_state bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An append to the stream waits for this transaction, with the log's lock held: it must not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM FROM log.events AS events
    WHERE events.sequence = at_sequence AND events.stream_id = of_stream AND events.version = at_version;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO log.snapshots AS snapshots (stream_id, version, sequence, leaf, schema, state)
    VALUES (of_stream, at_version, at_sequence, with_leaf, in_schema, of_state)
    ON CONFLICT (stream_id) DO UPDATE SET
        version = EXCLUDED.version,
        sequence = EXCLUDED.sequence,
        leaf = EXCLUDED.leaf,
        schema = EXCLUDED.schema,
        state = EXCLUDED.state
    WHERE snapshots.version < EXCLUDED.version OR snapshots.schema <> EXCLUDED.schema;
    UPDATE log.streams AS streams
    SET snapshot_version = at_version - 1, snapshot_sequence = at_sequence - 1
    WHERE streams.stream_id = of_stream AND streams.snapshot_version < at_version - 1;
    RETURN true;
END
$$;
