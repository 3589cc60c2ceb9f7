-- What a resource owner, or a client by its own right, was granted.
CREATE TABLE grants (
    id          TEXT    PRIMARY KEY,
    subject     TEXT    NOT NULL,
    client      TEXT    NOT NULL,
    client_name TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    jkt         TEXT,
    created_ms  INTEGER NOT NULL,
    used_ms     INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL,
    revoked_ms  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_subject ON grants (subject);
CREATE INDEX grants_by_client ON grants (client);

-- Authorization codes, by their digests. A spent one stays as long as its grant, so that a second use is noticed.
CREATE TABLE codes (
    digest       BLOB    PRIMARY KEY,
    grant_id     TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    jkt          TEXT,
    expires_ms   INTEGER NOT NULL,
    spent_ms     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_by_grant ON codes (grant_id);

-- Refresh tokens, by their digests. A spent one stays until it would have expired, so that a second use is noticed.
CREATE TABLE refresh_tokens (
    digest      BLOB    PRIMARY KEY,
    grant_id    TEXT    NOT NULL,
    expires_ms  INTEGER NOT NULL,
    spent_ms    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);

-- Consents that a resource owner asked to remember.
CREATE TABLE consents (
    account       TEXT    NOT NULL,
    client        TEXT    NOT NULL,
    redirect_host TEXT    NOT NULL,
    resource      TEXT    NOT NULL,
    scopes        TEXT    NOT NULL,
    granted_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    PRIMARY KEY (account, client, redirect_host, resource)
) STRICT, WITHOUT ROWID;

-- What works once and carries its own proof: identifiers of assertions and of forms.
CREATE TABLE spent (
    id        TEXT    PRIMARY KEY,
    until_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Clients that registered themselves (RFC 7591). The secret is a digest.
CREATE TABLE oauth_clients (
    id          TEXT    PRIMARY KEY,
    metadata    TEXT    NOT NULL,
    secret      BLOB,
    created_ms  INTEGER NOT NULL,
    used_ms     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_clients_unused ON oauth_clients (created_ms) WHERE used_ms IS NULL;

-- Keys that sign tokens, sealed. One signs from `active_ms` on, until the next is active.
CREATE TABLE signing_keys (
    kid         TEXT    PRIMARY KEY,
    sealed      BLOB    NOT NULL,
    active_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
