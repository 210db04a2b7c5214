-- Partitions of the events: a million sequences each, made early, and the epoch that their sequences belong to.

-- Make the partition that is written to and the one after it; return the first sequence that has none.
-- A new partition is made beside the log and attached, which takes no lock that an append would wait for.
CREATE FUNCTION log.prepare_partitions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    width CONSTANT bigint := 1000000;
    first_sequence bigint;
    partition_name text;
    partition_number bigint;
BEGIN
    -- Two processes may prepare at once; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtextextended('khata.log.prepare_partitions', 0));
    SELECT head.sequence / width INTO STRICT partition_number FROM log.head AS head;
    FOR ahead IN 0..1 LOOP
        first_sequence := (partition_number + ahead) * width;
        partition_name := 'events_' || lpad(first_sequence::text, 15, '0');
        CONTINUE WHEN to_regclass('log.' || partition_name) IS NOT NULL;
        EXECUTE format('CREATE TABLE log.%I (LIKE log.events INCLUDING ALL)', partition_name);
        EXECUTE format('ALTER TABLE log.%I ADD PRIMARY KEY (sequence)', partition_name);
        -- The last guard behind log.streams: no two events of a stream with one version.
        EXECUTE format('CREATE UNIQUE INDEX ON log.%I (stream_id, version)', partition_name);
        EXECUTE format(
            'ALTER TABLE log.events ATTACH PARTITION log.%I FOR VALUES FROM (%s) TO (%s)',
            partition_name, first_sequence, first_sequence + width
        );
    END LOOP;
    RETURN (partition_number + 2) * width;
END
$$;

-- Make the first partitions.
SELECT log.prepare_partitions();

-- Forget keys that are no longer honoured: after 14 days an outcome is found by its command id in the events.
CREATE FUNCTION log.forget_commands() RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    DELETE FROM log.commands WHERE recorded_at < clock_timestamp() - interval '14 days';
END;

-- Name what a sequence belongs to: this cluster, its timeline and how often its log was restored. [a-z0-9]
-- The timeline is read from the name of the current WAL file, because the control file lags behind a promotion.
CREATE FUNCTION log.current_epoch() RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT to_hex(system.system_identifier)
        || 't' || ltrim(lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)), '0')
        || 'r' || head.restore_count
    FROM pg_control_system() AS system, log.head AS head;
END;
