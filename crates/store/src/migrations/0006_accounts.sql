-- Who may log in. A password is a PHC string, a TOTP secret is sealed, groups stand one to a line.
-- `version` changes with the credentials: what was begun under an earlier one does not count.
CREATE TABLE accounts (
    name        TEXT    PRIMARY KEY,
    display     TEXT    NOT NULL,
    groups      TEXT    NOT NULL,
    is_admin    INTEGER NOT NULL,
    disabled    INTEGER NOT NULL DEFAULT 0,
    password    TEXT,
    totp        BLOB,
    totp_step   INTEGER NOT NULL DEFAULT 0,
    version     INTEGER NOT NULL DEFAULT 1,
    created_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Digests of invitations and resets that were not used yet.
CREATE TABLE account_links (
    digest      BLOB    PRIMARY KEY,
    account     TEXT    NOT NULL,
    expires_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX account_links_account ON account_links (account);

-- Digests of recovery codes that were not used yet.
CREATE TABLE account_recovery_codes (
    account  TEXT  NOT NULL,
    digest   BLOB  NOT NULL,
    PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;

-- Whom a provider calls which subject.
CREATE TABLE account_identities (
    provider  TEXT  NOT NULL,
    subject   TEXT  NOT NULL,
    account   TEXT  NOT NULL,
    PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_identities_account ON account_identities (account);

-- Browsers that are logged in, by the digest of their cookie.
CREATE TABLE browser_sessions (
    digest            BLOB    PRIMARY KEY,
    account           TEXT    NOT NULL,
    authenticated_ms  INTEGER NOT NULL,
    seen_ms           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX browser_sessions_account ON browser_sessions (account, authenticated_ms);
