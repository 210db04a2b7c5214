-- Who may do what with what this revision adds.

-- Functions are for whom they are granted to, not for everybody.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;

-- The outcomes are read as before; the table is new.
GRANT SELECT ON log.commands TO khata_writer, khata_projector, khata_query;

-- The writer appends, makes room, and lets old weeks go.
GRANT EXECUTE ON FUNCTION log.append_batch(
    integer[], text[], text[], bytea[], text[], bytea[], text[], text[], integer[], bigint[], bytea[], integer[],
    text[], bigint[], text[], text[], bytea[], bytea[], bytea[], text[], text[], bigint[], text[]
) TO khata_writer;
GRANT EXECUTE ON FUNCTION log.prepare_weeks() TO khata_writer;

-- Everybody of ours may ask where in the log a moment lies.
GRANT EXECUTE ON FUNCTION log.sequence_before(timestamptz) TO khata_writer, khata_projector, khata_query;

-- The writer keeps snapshots, and may delete them; only it has a use for them.
GRANT SELECT, DELETE ON log.snapshots TO khata_writer;
GRANT EXECUTE ON FUNCTION log.keep_snapshot(text, bigint, bigint, bytea, text, bytea) TO khata_writer;

-- How far an application has come is read by it, and written with its events only.
GRANT SELECT ON ops.library_tracking TO khata_writer;
