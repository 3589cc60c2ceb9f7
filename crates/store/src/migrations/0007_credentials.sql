-- Secrets that an operator gave, sealed. The name says what for.
CREATE TABLE secrets (
    name        TEXT    PRIMARY KEY,
    sealed      BLOB    NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who the gateway is to an authorization server: what a registration answered, sealed. A client identifier is good
-- at its issuer alone.
CREATE TABLE client_registrations (
    issuer        TEXT    NOT NULL,
    redirect_uri  TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER,
    PRIMARY KEY (issuer, redirect_uri)
) STRICT, WITHOUT ROWID;

-- The authorization server that a server named first, where credentials that an operator wrote are at stake.
CREATE TABLE server_issuers (
    server    TEXT    PRIMARY KEY,
    issuer    TEXT    NOT NULL,
    first_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens for servers, sealed. `principal` is empty where one credential serves all. `generation` grows with each change.
CREATE TABLE server_tokens (
    principal   TEXT    NOT NULL,
    server      TEXT    NOT NULL,
    issuer      TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    generation  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (principal, server, issuer, resource)
) STRICT, WITHOUT ROWID;

-- Connections that an account has approved and not yet completed: found by the digest of `state`, once.
CREATE TABLE server_connects (
    state       BLOB    PRIMARY KEY,
    account     TEXT    NOT NULL,
    server      TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    expires_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX server_connects_account ON server_connects (account, expires_ms);

-- What an account's login at an identity provider left: the ID token, sealed, to be exchanged for grants elsewhere.
CREATE TABLE identity_tokens (
    principal   TEXT    NOT NULL,
    issuer      TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    expires_ms  INTEGER NOT NULL,
    PRIMARY KEY (principal, issuer)
) STRICT, WITHOUT ROWID;

-- What a server asked for when a person had to connect: until they do, which may be in another process. No secret.
CREATE TABLE server_challenges (
    principal   TEXT    NOT NULL,
    server      TEXT    NOT NULL,
    challenge   TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (principal, server)
) STRICT, WITHOUT ROWID;
