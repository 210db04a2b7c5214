-- Reading the head without going through the versions that an old snapshot keeps.

-- Tell where the log ends. A plan that was made while the table was small, and reads it whole, must not be kept.
CREATE FUNCTION log.current_head(
    OUT sequence bigint, OUT hash bytea, OUT recorded_at timestamptz, OUT restore_count integer
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    SELECT head.sequence, head.hash, head.recorded_at, head.restore_count
    INTO STRICT sequence, hash, recorded_at, restore_count
    FROM log.head AS head ORDER BY head.era DESC LIMIT 1;
END
$$;
REVOKE EXECUTE ON FUNCTION log.current_head() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.current_head() TO khata_writer, khata_projector, khata_query;

-- Name what a sequence belongs to, on a standby as well: readers there are told of a promotion like everybody. [a-z0-9]
-- The timeline is read from the name of the current WAL file, because the control file lags behind a promotion. A standby
-- writes no WAL; what it follows stands in its control file.
CREATE OR REPLACE FUNCTION log.current_epoch() RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT to_hex(system.system_identifier)
        || 't' || CASE
            WHEN pg_is_in_recovery()
            THEN (SELECT to_hex(recovery.min_recovery_end_timeline) FROM pg_control_recovery() AS recovery)
            ELSE ltrim(lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)), '0')
        END
        || 'r' || head.restore_count
    FROM pg_control_system() AS system, log.current_head() AS head;
END;
