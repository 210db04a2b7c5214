-- Eras: what the newest version of a row is found by while an old snapshot keeps all versions that came before it.
--
-- Each append rewrites the head and the rows of its streams. While somebody holds an old snapshot, no version can be
-- cleared away, and whoever looks a row up by a key that stays the same goes through every version since then. So the
-- key of these look-ups changes, though seldom: an era is a run of sequences, or of a stream's versions. The newest
-- version lies in the highest era, which an index finds in one step, and at most one era's versions lie before it.
-- Within an era the key stays as it is, so most updates still need no new index entry (HOT), and without an old
-- snapshot their versions are cleared away in passing as before.

-- The head. An append is one update, whatever it appends, so an era may be long: appends of one event walk 256 versions
-- at most.
ALTER TABLE log.head DROP CONSTRAINT head_pkey;
ALTER TABLE log.head ALTER COLUMN only_row SET NOT NULL;
ALTER TABLE log.head ADD COLUMN era bigint NOT NULL GENERATED ALWAYS AS (sequence / 256) STORED;
CREATE INDEX head_era ON log.head (era);

-- A unique key over what never changes would go through all versions again whenever an update needs a new index entry.
-- The head is made once, so what keeps it the only one is that nobody adds a row.
CREATE FUNCTION log.refuse_another_head() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the log has one head' USING ERRCODE = 'unique_violation';
END
$$;
REVOKE EXECUTE ON FUNCTION log.refuse_another_head() FROM PUBLIC;
CREATE TRIGGER only_row BEFORE INSERT ON log.head FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_another_head();

-- The streams. Every event of a batch may be in another one, so the era is short. The index also finds a stream's row,
-- as the primary key did. That a stream has one row is kept by append_batch, which alone adds rows, under the head's
-- lock, where it found none; that no two events have one version, by the events' own keys.
ALTER TABLE log.streams DROP CONSTRAINT streams_pkey;
ALTER TABLE log.streams ALTER COLUMN stream_id SET NOT NULL;
ALTER TABLE log.streams ADD COLUMN era bigint NOT NULL GENERATED ALWAYS AS (version / 16) STORED;
CREATE UNIQUE INDEX streams_era ON log.streams (stream_id, era);
