-- What projectors and readers agree on. An edition of a read model is one filling of it: its version (the code that
-- folds it) and its generation (how often this version was filled), with tables of its own.

-- The tables are the projector's, whose row and table rights they follow.
SET ROLE khata_projector;

-- The first release made these two tables when its projector started. Where it never did, they begin here.
CREATE TABLE IF NOT EXISTS views.checkpoints (
    name text NOT NULL,
    version integer NOT NULL,
    sequence bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    epoch text NOT NULL DEFAULT '',
    owner text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    halted text,
    PRIMARY KEY (name, version)
) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS views.pointers (
    name text PRIMARY KEY,
    version integer NOT NULL
);

-- Which editions there are. One that is filling is brought up beside the others; a live one follows the log. The table
-- of one that readers left goes at drop_at; until then it follows, so that they can go back.
CREATE TABLE views.editions (
    name text NOT NULL,
    version integer NOT NULL,
    generation integer NOT NULL,
    shards integer NOT NULL CHECK (shards > 0),
    state text NOT NULL CHECK (state IN ('filling', 'live')),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    drop_at timestamptz,
    PRIMARY KEY (name, version, generation)
);
INSERT INTO views.editions (name, version, generation, shards, state)
SELECT name, version, 1, 1, 'live' FROM views.checkpoints;

-- Where each shard of each edition stands, who works on it and until when. Rewritten with every batch, so its page has
-- room for the versions of a row that are still seen.
ALTER TABLE views.checkpoints
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN shard integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT checkpoints_pkey,
    ADD PRIMARY KEY (name, version, generation, shard),
    ADD FOREIGN KEY (name, version, generation) REFERENCES views.editions ON DELETE CASCADE;
ALTER TABLE views.checkpoints ALTER COLUMN generation DROP DEFAULT, ALTER COLUMN shard DROP DEFAULT;

-- Which generation the readers of a version use. Every release reads its own version, so that an old release and a new
-- one can serve side by side; the newest version that has a row is the current one.
ALTER TABLE views.pointers
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN previous_generation integer,
    ADD COLUMN switched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    DROP CONSTRAINT pointers_pkey,
    ADD PRIMARY KEY (name, version);
ALTER TABLE views.pointers ALTER COLUMN generation DROP DEFAULT;

-- Events that an edition could not take in, and the later ones of their streams, which wait behind them. The events
-- themselves are in the log. The first of a stream has an error, the others wait for it.
CREATE TABLE views.parked_events (
    name text NOT NULL,
    version integer NOT NULL,
    generation integer NOT NULL,
    sequence bigint NOT NULL,
    stream_id text NOT NULL,
    event_name text NOT NULL,
    error text,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version, generation, sequence),
    FOREIGN KEY (name, version, generation) REFERENCES views.editions ON DELETE CASCADE
);

-- Finds what waits of one stream, in order.
CREATE INDEX parked_events_stream ON views.parked_events (name, version, generation, stream_id, sequence);

-- Which projectors are alive, so that they can share the shards. Those of one kind keep the same read models.
CREATE TABLE views.projectors (
    owner text PRIMARY KEY,
    kind text NOT NULL,
    seen_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Readers look up editions, checkpoints and pointers; the rest is the projectors'.
GRANT SELECT ON views.editions, views.checkpoints, views.pointers TO khata_query;
REVOKE ALL ON views.parked_events, views.projectors FROM khata_query;

RESET ROLE;
