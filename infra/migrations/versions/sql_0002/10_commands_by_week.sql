-- Outcomes of commands lie in a partition for each week, so that old ones are dropped and not deleted row by row.

-- The columns are those of before, and so is the meaning. A key is honoured for 14 days: look-ups name that time, so
-- they touch three weeks at most. That a key is there once among those 14 days is kept by the append, under its lock.
ALTER TABLE log.commands RENAME TO commands_0001;
ALTER INDEX log.commands_pkey RENAME TO commands_0001_pkey;
ALTER INDEX log.commands_recorded_at RENAME TO commands_0001_recorded_at;
CREATE TABLE log.commands (
    scope text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key, recorded_at)
) PARTITION BY RANGE (recorded_at);

-- Make the partition of the week (Monday to Monday, UTC) that holds a moment, where there is none.
-- A new partition is made beside the table and attached, which takes no lock that an append would wait for.
CREATE FUNCTION log.prepare_week(moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    monday CONSTANT timestamp := date_trunc('week', moment AT TIME ZONE 'UTC');
    partition_name CONSTANT text := 'commands_' || to_char(monday, 'YYYYMMDD');
BEGIN
    -- Two processes may prepare at once; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtextextended('khata.log.prepare_partitions', 0));
    IF to_regclass('log.' || partition_name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE log.%I (LIKE log.commands INCLUDING ALL)', partition_name);
    EXECUTE format(
        'ALTER TABLE log.commands ATTACH PARTITION log.%I FOR VALUES FROM (%L) TO (%L)',
        partition_name, monday AT TIME ZONE 'UTC', (monday + interval '7 days') AT TIME ZONE 'UTC'
    );
END
$$;

-- Make the partitions of the week that is written to and of the next one. The log's clock never steps back, so it is
-- the later one of the server's clock and of the last append that says which week that is.
CREATE FUNCTION log.prepare_weeks() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_at timestamptz;
BEGIN
    SELECT greatest(clock_timestamp(), head.recorded_at) INTO STRICT now_at FROM log.head AS head;
    PERFORM log.prepare_week(now_at);
    PERFORM log.prepare_week(now_at + interval '7 days');
END
$$;

-- Drop the weeks of which no key is honoured any longer: after 14 days an outcome is found by its command id.
-- One who reads or appends at that moment is waited for, but not long: the next round tries again.
CREATE OR REPLACE FUNCTION log.forget_commands() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    old_week text;
BEGIN
    FOR old_week IN
        SELECT child.relname
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'log.commands'::regclass
            AND child.relname ~ '^commands_[0-9]{8}$'
            AND to_date(right(child.relname, 8), 'YYYYMMDD') + 7
                <= (clock_timestamp() AT TIME ZONE 'UTC') - interval '14 days'
    LOOP
        EXECUTE format('DROP TABLE log.%I', old_week);
    END LOOP;
EXCEPTION
    WHEN lock_not_available THEN
        NULL;
END
$$;

-- Take the honoured outcomes over.
SELECT log.prepare_week(clock_timestamp() - 7 * weeks * interval '1 day') FROM generate_series(-1, 2) AS weeks;
INSERT INTO log.commands (scope, key, request_hash, status, first_sequence, last_sequence, recorded_at)
SELECT scope, key, request_hash, status, first_sequence, last_sequence, recorded_at
FROM log.commands_0001
WHERE recorded_at > clock_timestamp() - interval '14 days';
DROP TABLE log.commands_0001;

-- Tell the last sequence that was recorded before a moment. `recorded_at` never falls from one event to the next, so it
-- is found by halving, without an index that every append would have to keep up.
CREATE FUNCTION log.sequence_before(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    middle_at timestamptz;
BEGIN
    SELECT head.sequence INTO STRICT high FROM log.head AS head;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        -- Where older partitions are gone, the first event that is left stands for all before it.
        SELECT events.recorded_at INTO middle_at
        FROM log.events AS events
        WHERE events.sequence >= middle
        ORDER BY events.sequence
        LIMIT 1;
        IF middle_at < moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
