-- Log-ins and refusals: what never becomes an event, in a chain of its own. It is written at a bounded rate.

CREATE SCHEMA audit;

-- The end of the chain, and the lock that puts one addition behind the other. One row.
CREATE TABLE audit.head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);

INSERT INTO audit.head (number, hash, recorded_at) VALUES (0, decode(repeat('00', 32), 'hex'), 'epoch');

-- The entries. Rows are inserted by audit.append and never changed.
CREATE TABLE audit.entries (
    number bigint PRIMARY KEY,
    body bytea NOT NULL CHECK (octet_length(body) <= 4096),
    recorded_at timestamptz NOT NULL,
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- Add entries at the end of the chain, which is the log's with another leaf: the hash of the body alone.
CREATE FUNCTION audit.append(bodies bytea[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head_number bigint;
    head_hash bytea;
    previous bytea;
    added_at timestamptz;
    added_at_bytes bytea;
    body bytea;
BEGIN
    SELECT head.number, head.hash, greatest(clock_timestamp(), head.recorded_at)
    INTO STRICT head_number, head_hash, added_at
    FROM audit.head AS head FOR UPDATE;
    added_at_bytes := int8send((extract(epoch FROM added_at) * 1000000)::bigint);
    FOREACH body IN ARRAY bodies LOOP
        head_number := head_number + 1;
        previous := head_hash;
        head_hash := sha256(previous || int8send(head_number) || added_at_bytes || sha256(body));
        INSERT INTO audit.entries (number, body, recorded_at, previous_hash, hash)
        VALUES (head_number, body, added_at, previous, head_hash);
    END LOOP;
    UPDATE audit.head SET number = head_number, hash = head_hash, recorded_at = added_at;
    RETURN head_number;
END
$$;

REVOKE EXECUTE ON FUNCTION audit.append(bytea[]) FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO khata_writer, khata_projector, khata_query;
-- Where the table ends is for whoever checks or anchors; what is in it is the writer's alone.
GRANT SELECT ON audit.head TO khata_writer, khata_projector, khata_query;
GRANT SELECT ON audit.entries TO khata_writer;
GRANT EXECUTE ON FUNCTION audit.append(bytea[]) TO khata_writer;
