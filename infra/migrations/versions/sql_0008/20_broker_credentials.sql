-- What accounts log in to the broker with, sealed under a key of its own. That key (`key_name`) lies with the users' keys,
-- wrapped so that only the executor can open it: no role that reads this table can read what is in it.
CREATE TABLE keys.broker_credentials (
    account_id text PRIMARY KEY,
    user_id text NOT NULL,
    key_name text NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL
);
CREATE INDEX broker_credentials_of_user ON keys.broker_credentials (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON keys.broker_credentials TO khata_writer;
