-- Everybody of ours reads; only the owner archives; the writer notes its anchors.
GRANT SELECT ON log.layout, log.archives, log.archive_streams, log.anchored TO khata_writer, khata_projector, khata_query;
GRANT INSERT, UPDATE ON log.anchored TO khata_writer;
