-- From a time to a place in the log.

-- Find the last event recorded at or before a time; 0 where the table of events has none.
-- Times never fall from one sequence to the next and no sequence is missing, so halving finds it by the primary keys
-- in some twenty look-ups: no index on times is kept.
CREATE FUNCTION log.sequence_at(wanted timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan made while the table was small must not outlive that, and the partition is chosen when the plan runs.
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    first bigint;
    known bigint;
    beyond bigint;
    middle bigint;
    middle_at timestamptz;
BEGIN
    SELECT head.sequence + 1 INTO STRICT beyond FROM log.head AS head;
    -- The head was read in this statement's snapshot and the events are too: nothing can lie beyond it.
    SELECT events.sequence INTO first FROM log.events AS events ORDER BY events.sequence LIMIT 1;
    IF first IS NULL THEN
        RETURN 0;
    END IF;
    known := first - 1;
    -- known: at or before the time, or the place before the first event. beyond: after the time, or after the head.
    WHILE beyond - known > 1 LOOP
        middle := (known + beyond) / 2;
        SELECT events.recorded_at INTO STRICT middle_at FROM log.events AS events WHERE events.sequence = middle;
        IF middle_at <= wanted THEN
            known := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    -- Before the first event that this table has: what lies in archives is for their reader to find.
    RETURN CASE WHEN known < first THEN 0 ELSE known END;
END
$$;

REVOKE EXECUTE ON FUNCTION log.sequence_at(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.sequence_at(timestamptz) TO khata_writer, khata_projector, khata_query;
