-- What must be possible to destroy, and so lies beside the log and in no backup of it.

CREATE SCHEMA keys;

-- A user's data keys, each wrapped by the master key. Without the row, what the key sealed is erased.
CREATE TABLE keys.user_keys (
    user_id text NOT NULL,
    purpose text NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (user_id, purpose)
);

-- Hashes of users' passwords.
CREATE TABLE keys.passwords (
    user_id text PRIMARY KEY,
    password_hash text NOT NULL
);
