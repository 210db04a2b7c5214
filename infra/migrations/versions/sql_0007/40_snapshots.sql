-- The landmark in a stream's row: reading it, and setting it when a snapshot is kept.

-- Tell the sequence behind which everything lies that a stream has after a version; 0 where no landmark says so.
CREATE FUNCTION log.landmark_of(of_stream text, after_version bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    landmark bigint;
BEGIN
    SELECT CASE WHEN streams.snapshot_version <= after_version THEN streams.snapshot_sequence END INTO landmark
    FROM log.streams AS streams
    WHERE streams.stream_id = of_stream
    ORDER BY streams.era DESC
    LIMIT 1;
    RETURN coalesce(landmark, 0);
END
$$;
REVOKE EXECUTE ON FUNCTION log.landmark_of(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.landmark_of(text, bigint) TO khata_writer, khata_projector, khata_query;

-- Keep a snapshot, unless a later one is there, and set the landmark just before its last event, so that a reader who
-- starts from the snapshot still reads that event. Tells whether the log has that event.
CREATE OR REPLACE FUNCTION log.keep_snapshot(
    of_stream text, at_version bigint, at_sequence bigint, with_leaf bytea, in_schema text, of_state bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    stream_era bigint;
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
    -- Find the stream's row by its era, and keep it there: an append that comes meanwhile would move it on.
    SELECT streams.era INTO stream_era
    FROM log.streams AS streams
    WHERE streams.stream_id = of_stream
    ORDER BY streams.era DESC
    LIMIT 1
    FOR UPDATE;
    UPDATE log.streams AS streams
    SET snapshot_version = at_version - 1, snapshot_sequence = at_sequence - 1
    WHERE streams.stream_id = of_stream AND streams.era = stream_era AND streams.snapshot_version < at_version - 1;
    RETURN true;
END
$$;
