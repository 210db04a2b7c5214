-- Archives: files that took the place of partitions. A file counts from the moment that log.layout.archived_to
-- reaches its last sequence; before that it is a copy in the making.

-- One Parquet file, and everything that is needed to believe it.
CREATE TABLE log.archives (
    first_sequence bigint PRIMARY KEY,
    last_sequence bigint NOT NULL,
    file text NOT NULL,
    byte_count bigint NOT NULL,
    checksum bytea NOT NULL,
    row_count bigint NOT NULL,
    first_previous_hash bytea NOT NULL,
    last_hash bytea NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at timestamptz NOT NULL
);

-- Which files hold events of a stream, and where in the file they begin and end.
CREATE TABLE log.archive_streams (
    stream_id text NOT NULL,
    archive bigint NOT NULL,
    first_version bigint NOT NULL,
    last_version bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    PRIMARY KEY (stream_id, archive)
);

-- Finds what belongs to one file.
CREATE INDEX archive_streams_archive ON log.archive_streams (archive);
