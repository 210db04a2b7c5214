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
