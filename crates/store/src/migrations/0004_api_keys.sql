-- Keys that programs show instead of a token. Of a key only its digest is kept.
CREATE TABLE api_keys (
    id            TEXT    PRIMARY KEY,
    digest        BLOB    NOT NULL,
    name          TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    -- Separated by spaces; NULL is whatever other checks let through.
    scopes        TEXT,
    -- Separated by spaces; NULL is every protected resource.
    resources     TEXT,
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    last_used_ms  INTEGER,
    revoked_ms    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_subject ON api_keys (subject);
