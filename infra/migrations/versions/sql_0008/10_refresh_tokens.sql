-- Log-ins that go on: one row a log-in, whose tokens follow each other. Times are UTC microseconds, by the engine's clock.
CREATE TABLE keys.token_families (
    family_id text PRIMARY KEY,
    user_id text NOT NULL,
    ends_at_us bigint NOT NULL
);
CREATE INDEX token_families_of_user ON keys.token_families (user_id);
CREATE INDEX token_families_by_end ON keys.token_families (ends_at_us);

-- Refresh tokens by their SHA-256. A spent one stays as long as its family, to be known if it comes again.
CREATE TABLE keys.refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    family_id text NOT NULL REFERENCES keys.token_families ON DELETE CASCADE,
    ends_at_us bigint NOT NULL,
    spent_at_us bigint
);
CREATE INDEX refresh_tokens_of_family ON keys.refresh_tokens (family_id);

-- Exchange a token for its successor. The family's row is the lock: of two who present one token, one is second.
--
--   rotated   it was good, and is spent; or it was spent a moment ago, and its successor is not
--   unknown   nobody's, or over
--   reused    it was spent: the family has ended with this call
CREATE FUNCTION keys.rotate_refresh_token(
    presented bytea, successor bytea, now_us bigint, successor_ends_at_us bigint, grace_us bigint
) RETURNS TABLE (outcome text, user_id text, ends_at_us bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    family keys.token_families;
    token keys.refresh_tokens;
    follower keys.refresh_tokens;
BEGIN
    SELECT families.* INTO family
    FROM keys.token_families AS families
    JOIN keys.refresh_tokens AS tokens USING (family_id)
    WHERE tokens.token_hash = presented
    FOR UPDATE OF families;
    -- Read behind the lock: what another call made of it is seen.
    SELECT tokens.* INTO token FROM keys.refresh_tokens AS tokens WHERE tokens.token_hash = presented;
    IF token.token_hash IS NULL OR token.ends_at_us <= now_us OR family.ends_at_us <= now_us THEN
        RETURN QUERY SELECT 'unknown'::text, NULL::text, 0::bigint;
        RETURN;
    END IF;
    IF token.spent_at_us IS NULL THEN
        UPDATE keys.refresh_tokens AS tokens SET spent_at_us = now_us WHERE tokens.token_hash = presented;
        INSERT INTO keys.refresh_tokens (token_hash, family_id, ends_at_us)
        VALUES (successor, family.family_id, least(successor_ends_at_us, family.ends_at_us))
        RETURNING * INTO follower;
    ELSE
        SELECT tokens.* INTO follower
        FROM keys.refresh_tokens AS tokens
        WHERE tokens.token_hash = successor AND tokens.spent_at_us IS NULL AND now_us - token.spent_at_us <= grace_us;
    END IF;
    IF follower.token_hash IS NULL THEN
        DELETE FROM keys.token_families AS families WHERE families.family_id = family.family_id;
        RETURN QUERY SELECT 'reused'::text, family.user_id, 0::bigint;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'rotated'::text, family.user_id, follower.ends_at_us;
END
$$;

REVOKE EXECUTE ON FUNCTION keys.rotate_refresh_token(bytea, bytea, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keys.rotate_refresh_token(bytea, bytea, bigint, bigint, bigint) TO khata_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON keys.token_families, keys.refresh_tokens TO khata_writer;
