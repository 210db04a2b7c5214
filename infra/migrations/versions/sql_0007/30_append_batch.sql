-- The append: the whole critical section is this one statement. As before, but for how it finds the newest versions of the
-- head and of streams' rows.
--
-- A batch is a list of entries, one per command. All events of an entry are appended or none, and an entry that is
-- stale, repeated or not allowed fails alone. Entries are checked in their order, each on what those before it left,
-- so several entries may extend one stream one after another. The caller never puts two entries with one
-- (scope, key), with one claim, or with one tracker and application, into a batch.
--
-- Everything comes as parallel arrays (no round trip per event, no parsing under the lock):
--   entry_*   one element per entry; the keys' and the claims' arrays may be empty when no entry has any
--   stream_*  one element per distinct stream of the batch
--   part_*    one element per (entry, stream), entries in order: which stream (its place in stream_ids), the version
--             wanted next (-1: it continues what the same entry has of the stream before, which the caller has
--             checked), the leaf hash that the stream's last event must have (null: any), the number of events
--   event_*   one element per event, in the order of the parts; leaves were hashed before the lock was taken
--   tracking_*  one element per entry, or empty when no entry has any; the tracker is null where an entry has none
--
-- A part's next version must follow the stream's last one; a new stream begins at 0 or at 1. A part without events
-- only demands that. An entry without any events is not remembered in log.commands, but its tracking is kept, which only
-- ever grows. A key is honoured for 14 days.
--
-- The function of this name with fewer parameters is what the release before calls. It may still be in use while the
-- two change over: it comes down to this one, and a later revision drops it.
--
-- statuses: appended, repeated, key_reused, claim_taken, tracking_stale, conflict.
CREATE OR REPLACE FUNCTION log.append_batch(
    entry_parts integer[],
    entry_scopes text[],
    entry_keys text[],
    entry_request_hashes bytea[],
    claim_kinds text[],
    claim_key_hashes bytea[],
    claim_owners text[],
    stream_ids text[],
    part_streams integer[],
    part_versions bigint[],
    part_leaves bytea[],
    part_events integer[],
    event_stream_ids text[],
    event_versions bigint[],
    event_names text[],
    event_command_ids text[],
    event_metadata bytea[],
    event_payloads bytea[],
    event_leaves bytea[],
    tracking_trackers text[],
    tracking_applications text[],
    tracking_ids bigint[],
    tracking_command_ids text[],
    OUT statuses text[],
    OUT first_sequences bigint[],
    OUT last_sequences bigint[],
    OUT head_sequence bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan made while a table was small must not outlive that: every look-up goes by its key, and one by an era stops at
-- the first version that it finds.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    head_before bigint;
    head_hash bytea;
    head_at timestamptz;
    head_era bigint;
    batch_at timestamptz;
    batch_at_bytes bytea;
    honoured_from timestamptz;
    known_hashes bytea[];
    known_firsts bigint[];
    known_lasts bigint[];
    known_owners text[];
    known_ids bigint[];
    versions bigint[];
    leaves bytea[];
    eras bigint[];
    streams_set bigint;
    streams_added bigint;
    is_changed boolean[];
    is_remembered boolean[];
    -- Places of events that are not appended stay null.
    sequences bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(event_names)]);
    previous_hashes bytea[] := array_fill(NULL::bytea, ARRAY[cardinality(event_names)]);
    hashes bytea[] := array_fill(NULL::bytea, ARRAY[cardinality(event_names)]);
    part integer := 0;
    part_last integer;
    event integer := 0;
    event_last integer;
    stream integer;
    current_version bigint;
    status text;
BEGIN
    -- Take the lock. Everything read below is what the append before this one committed.
    SELECT head.sequence, head.hash, head.recorded_at, head.era INTO STRICT head_before, head_hash, head_at, head_era
    FROM log.head AS head ORDER BY head.era DESC LIMIT 1 FOR UPDATE;
    head_sequence := head_before;
    batch_at := greatest(clock_timestamp(), head_at);
    honoured_from := batch_at - interval '14 days';
    batch_at_bytes := int8send((extract(epoch FROM batch_at) * 1000000)::bigint);

    -- Read where the streams end. Only this function changes that, so it stays so until the lock is released.
    SELECT
        array_agg(streams.version ORDER BY wanted.place),
        array_agg(streams.leaf ORDER BY wanted.place),
        array_agg(streams.era ORDER BY wanted.place)
    INTO versions, leaves, eras
    FROM unnest(stream_ids) WITH ORDINALITY AS wanted (stream_id, place)
    LEFT JOIN LATERAL (
        SELECT ends.version, ends.leaf, ends.era
        FROM log.streams AS ends
        WHERE ends.stream_id = wanted.stream_id
        ORDER BY ends.era DESC
        LIMIT 1
    ) AS streams ON true;
    is_changed := array_fill(false, ARRAY[cardinality(stream_ids)]);

    -- Read the outcomes of commands that were carried out before. Each key is looked up by itself (LIMIT keeps it so):
    -- as one join the planner would gather all that the honoured weeks have and go through it for every key.
    IF cardinality(entry_keys) > 0 THEN
        SELECT
            array_agg(known.request_hash ORDER BY wanted.place),
            array_agg(known.first_sequence ORDER BY wanted.place),
            array_agg(known.last_sequence ORDER BY wanted.place)
        INTO known_hashes, known_firsts, known_lasts
        FROM unnest(entry_scopes, entry_keys) WITH ORDINALITY AS wanted (scope, key, place)
        LEFT JOIN LATERAL (
            SELECT commands.request_hash, commands.first_sequence, commands.last_sequence
            FROM log.commands AS commands
            WHERE commands.scope = wanted.scope AND commands.key = wanted.key
                AND commands.recorded_at > honoured_from AND commands.recorded_at <= batch_at
            LIMIT 1
        ) AS known ON true;
    END IF;

    -- Read who owns the claimed values.
    IF cardinality(claim_kinds) > 0 THEN
        SELECT array_agg(claims.owner ORDER BY wanted.place)
        INTO known_owners
        FROM unnest(claim_kinds, claim_key_hashes) WITH ORDINALITY AS wanted (kind, key_hash, place)
        LEFT JOIN log.claims AS claims ON claims.kind = wanted.kind AND claims.key_hash = wanted.key_hash;
    END IF;

    -- Read how far the trackers have come.
    IF cardinality(tracking_trackers) > 0 THEN
        SELECT array_agg(tracking.notification_id ORDER BY wanted.place)
        INTO known_ids
        FROM unnest(tracking_trackers, tracking_applications)
            WITH ORDINALITY AS wanted (tracker, application_name, place)
        LEFT JOIN ops.library_tracking AS tracking
            ON tracking.tracker = wanted.tracker AND tracking.application_name = wanted.application_name;
    END IF;

    -- Decide entry by entry, and chain the events of those that stand.
    FOR entry IN 1..cardinality(entry_parts) LOOP
        part_last := part + entry_parts[entry];
        event_last := event;
        status := 'appended';
        IF known_firsts[entry] IS NOT NULL THEN
            status := CASE
                WHEN known_hashes[entry] = entry_request_hashes[entry] THEN 'repeated' ELSE 'key_reused'
            END;
        ELSIF known_owners[entry] <> claim_owners[entry] THEN
            status := 'claim_taken';
        ELSIF known_ids[entry] >= tracking_ids[entry] THEN
            status := 'tracking_stale';
        END IF;
        FOR checked IN part + 1..part_last LOOP
            event_last := event_last + part_events[checked];
            stream := part_streams[checked];
            current_version := versions[stream];
            IF status = 'appended' AND NOT (
                CASE
                    WHEN part_versions[checked] = -1 THEN true
                    WHEN current_version IS NULL THEN part_versions[checked] IN (0, 1)
                    ELSE part_versions[checked] = current_version + 1
                END
                AND (part_leaves[checked] IS NULL OR part_leaves[checked] IS NOT DISTINCT FROM leaves[stream])
            ) THEN
                status := 'conflict';
            END IF;
        END LOOP;
        statuses[entry] := status;
        is_remembered[entry] := status = 'appended' AND event_last > event;
        -- An entry without events stands at the head as it finds it.
        first_sequences[entry] := CASE
            WHEN status = 'repeated' THEN known_firsts[entry]
            WHEN is_remembered[entry] THEN head_sequence + 1
            ELSE head_sequence
        END;
        IF status = 'appended' THEN
            FOR appended IN part + 1..part_last LOOP
                CONTINUE WHEN part_events[appended] = 0;
                stream := part_streams[appended];
                FOR chained IN event + 1..event + part_events[appended] LOOP
                    head_sequence := head_sequence + 1;
                    sequences[chained] := head_sequence;
                    previous_hashes[chained] := head_hash;
                    head_hash := sha256(head_hash || int8send(head_sequence) || batch_at_bytes || event_leaves[chained]);
                    hashes[chained] := head_hash;
                END LOOP;
                event := event + part_events[appended];
                versions[stream] := event_versions[event];
                leaves[stream] := event_leaves[event];
                is_changed[stream] := true;
            END LOOP;
        END IF;
        last_sequences[entry] := CASE WHEN status = 'repeated' THEN known_lasts[entry] ELSE head_sequence END;
        part := part_last;
        event := event_last;
    END LOOP;

    -- Take the claims of the entries that stand.
    IF cardinality(claim_kinds) > 0 THEN
        INSERT INTO log.claims (kind, key_hash, owner)
        SELECT taken.kind, taken.key_hash, taken.owner
        FROM unnest(claim_kinds, claim_key_hashes, claim_owners, known_owners, statuses)
            AS taken (kind, key_hash, owner, known_owner, status)
        WHERE taken.status = 'appended' AND taken.kind IS NOT NULL AND taken.known_owner IS NULL;
    END IF;

    -- Keep how far the trackers of the entries that stand have come.
    IF cardinality(tracking_trackers) > 0 THEN
        INSERT INTO ops.library_tracking (tracker, application_name, notification_id, command_id)
        SELECT reached.tracker, reached.application_name, reached.notification_id, reached.command_id
        FROM unnest(tracking_trackers, tracking_applications, tracking_ids, tracking_command_ids, statuses)
            AS reached (tracker, application_name, notification_id, command_id, status)
        WHERE reached.status = 'appended' AND reached.tracker IS NOT NULL
        ON CONFLICT (tracker, application_name)
        DO UPDATE SET notification_id = EXCLUDED.notification_id, command_id = EXCLUDED.command_id;
    END IF;

    IF head_sequence = head_before THEN
        RETURN;
    END IF;

    -- Insert the events of the entries that stand.
    INSERT INTO log.events (
        sequence, stream_id, version, name, command_id, metadata, payload, recorded_at, previous_hash, hash
    )
    SELECT
        added.sequence, added.stream_id, added.version, added.name, added.command_id, added.metadata, added.payload,
        batch_at, added.previous_hash, added.hash
    FROM unnest(
        sequences, event_stream_ids, event_versions, event_names, event_command_ids, event_metadata, event_payloads,
        previous_hashes, hashes
    ) AS added (sequence, stream_id, version, name, command_id, metadata, payload, previous_hash, hash)
    WHERE added.sequence IS NOT NULL;

    -- Set where the streams end. The era that was read says where the row lies, so no older version is gone through. With
    -- "= ANY" each row is looked up by itself: with "=" a small table would be read whole, in the order of its index.
    UPDATE log.streams AS streams
    SET version = ended.version, leaf = ended.leaf
    FROM unnest(stream_ids, versions, leaves, eras, is_changed) AS ended (stream_id, version, leaf, era, is_changed)
    WHERE ended.is_changed AND streams.stream_id = ANY (ARRAY[ended.stream_id]) AND streams.era = ended.era;
    GET DIAGNOSTICS streams_set = ROW_COUNT;
    IF streams_set < cardinality(array_positions(is_changed, true)) THEN
        INSERT INTO log.streams (stream_id, version, leaf)
        SELECT ended.stream_id, ended.version, ended.leaf
        FROM unnest(stream_ids, versions, leaves, eras, is_changed) AS ended (stream_id, version, leaf, era, is_changed)
        WHERE ended.is_changed AND ended.era IS NULL;
        GET DIAGNOSTICS streams_added = ROW_COUNT;
        IF streams_set + streams_added <> cardinality(array_positions(is_changed, true)) THEN
            RAISE EXCEPTION 'the end of a stream was taken away under the lock' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;

    -- Remember the outcomes of the commands that carried a key.
    IF cardinality(entry_keys) > 0 THEN
        INSERT INTO log.commands (scope, key, request_hash, status, first_sequence, last_sequence, recorded_at)
        SELECT
            done.scope, done.key, done.request_hash, done.status, done.first_sequence, done.last_sequence, batch_at
        FROM unnest(
            entry_scopes, entry_keys, entry_request_hashes, statuses, first_sequences, last_sequences, is_remembered
        ) AS done (scope, key, request_hash, status, first_sequence, last_sequence, is_remembered)
        WHERE done.is_remembered AND done.key IS NOT NULL;
    END IF;

    -- Move the head, and tell whoever listens, once a batch.
    UPDATE log.head AS head
    SET sequence = head_sequence, hash = head_hash, recorded_at = batch_at
    WHERE head.era = head_era;
    PERFORM pg_notify('khata_log', head_sequence::text);
END
$$;
