-- Erasing a person: what they had claimed is a trace of them, even by its keyed hash.

-- Finds what an owner has claimed.
CREATE INDEX claims_owner ON log.claims (owner);

-- Give back everything that an owner had claimed; somebody else may claim it then.
CREATE FUNCTION log.release_claims(former_owner text) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    DELETE FROM log.claims WHERE claims.owner = former_owner;
END;

REVOKE EXECUTE ON FUNCTION log.release_claims(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.release_claims(text) TO khata_writer;
