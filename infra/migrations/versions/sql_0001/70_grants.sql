-- Who may do what. Nobody but the owner may change the log: it grows through append_batch.

-- Functions are for whom they are granted to, not for everybody.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;

-- Everybody of ours reads the log.
GRANT USAGE ON SCHEMA log TO khata_writer, khata_projector, khata_query;
GRANT SELECT ON log.head, log.events, log.streams TO khata_writer, khata_projector, khata_query;
GRANT SELECT ON log.commands, log.claims TO khata_writer, khata_projector, khata_query;
GRANT EXECUTE ON FUNCTION log.current_epoch() TO khata_writer, khata_projector, khata_query;

-- The writer appends, and keeps room for what is appended.
GRANT EXECUTE ON FUNCTION log.append_batch(
    integer[], text[], text[], bytea[], text[], bytea[], text[], text[], integer[], bigint[], bytea[], integer[],
    text[], bigint[], text[], text[], bytea[], bytea[], bytea[]
) TO khata_writer;
GRANT EXECUTE ON FUNCTION log.prepare_partitions() TO khata_writer;
GRANT EXECUTE ON FUNCTION log.forget_commands() TO khata_writer;

-- The writer keeps keys and passwords, and destroys them.
GRANT USAGE ON SCHEMA keys TO khata_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON keys.user_keys, keys.passwords TO khata_writer;

-- The writer takes leases, keeps watermarks and snapshots.
GRANT USAGE ON SCHEMA ops TO khata_writer;
GRANT SELECT, INSERT, UPDATE ON ops.leases, ops.watermarks TO khata_writer;
GRANT SELECT, INSERT, DELETE ON ops.library_snapshots TO khata_writer;

-- Readers look into the views.
GRANT USAGE ON SCHEMA views TO khata_query;
