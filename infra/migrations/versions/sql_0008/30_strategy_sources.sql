-- Sources of strategies, which the log names by their SHA-256 alone: they belong to their authors, who may have them
-- destroyed.
CREATE TABLE keys.strategy_sources (
    user_id text NOT NULL,
    source_hash text NOT NULL CHECK (source_hash ~ '^[0-9a-f]{64}$'),
    source text NOT NULL,
    PRIMARY KEY (user_id, source_hash)
);

GRANT SELECT, INSERT, DELETE ON keys.strategy_sources TO khata_writer;
