-- Where the events lie: how many sequences a partition holds, and up to where archives took their place. One row.
-- Appends do not read it. `archived_to` moves in the transaction that detaches the partition, so that whoever reads
-- it together with log.events sees each event in exactly one of the two places.
CREATE TABLE log.layout (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    partition_width bigint NOT NULL CHECK (partition_width > 0),
    archived_to bigint NOT NULL DEFAULT 0
);

INSERT INTO log.layout (partition_width) VALUES (1000000);

-- Make the partition that is written to and the one after it; return the first sequence that has none.
-- A new partition is made beside the log and attached, which takes no lock that an append would wait for.
CREATE OR REPLACE FUNCTION log.prepare_partitions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    width bigint;
    first_sequence bigint;
    partition_name text;
    partition_number bigint;
BEGIN
    -- Two processes may prepare at once; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtextextended('khata.log.prepare_partitions', 0));
    SELECT layout.partition_width INTO STRICT width FROM log.layout AS layout;
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
