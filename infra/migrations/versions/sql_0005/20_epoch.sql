-- Putting the log back to an older state: from then on its sequences may mean other events than before.

-- Begin a new epoch, after every one that was counted up to restores_seen, and return it. For the owner alone.
CREATE FUNCTION log.begin_epoch(restores_seen integer) RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE log.head SET restore_count = greatest(head.restore_count, restores_seen) + 1;
    SELECT log.current_epoch();
END;

REVOKE EXECUTE ON FUNCTION log.begin_epoch(integer) FROM PUBLIC;

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
    FROM pg_control_system() AS system, log.head AS head;
END;
