-- What was decided on a call, by which policies of which version; and what opened it. `decision_reason` is the code of a denial
-- that was only observed.
ALTER TABLE calls ADD COLUMN decision TEXT;
ALTER TABLE calls ADD COLUMN decision_reason TEXT;
ALTER TABLE calls ADD COLUMN policies TEXT;
ALTER TABLE calls ADD COLUMN policy_version TEXT;
ALTER TABLE calls ADD COLUMN oauth_client TEXT;
ALTER TABLE calls ADD COLUMN scopes TEXT;

-- Calls kept whole, where the operator wants them so, with what was known of who called: to suggest policies and to replay calls.
CREATE TABLE call_arguments (
    call_id    INTEGER PRIMARY KEY,
    arguments  BLOB    NOT NULL
) STRICT;

-- What each server last defined, so that policies can be checked before it is connected to.
CREATE TABLE tool_definitions (
    server      TEXT    NOT NULL,
    tool        TEXT    NOT NULL,
    definition  BLOB    NOT NULL,
    seen_ms     INTEGER NOT NULL,
    PRIMARY KEY (server, tool)
) STRICT, WITHOUT ROWID;

-- Calls that a person is asked about. An approval is good for one call with the same binding, once.
CREATE TABLE approvals (
    id           TEXT    PRIMARY KEY,
    binding      BLOB    NOT NULL,
    state        TEXT    NOT NULL,
    principal    TEXT    NOT NULL,
    identity     TEXT    NOT NULL,
    client       TEXT,
    server       TEXT    NOT NULL,
    tool         TEXT    NOT NULL,
    arguments    BLOB    NOT NULL,
    reasons      TEXT    NOT NULL,
    request_id   TEXT    NOT NULL,
    asked_ms     INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    decided_ms   INTEGER,
    decided_by   TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_binding ON approvals (binding, state);
CREATE INDEX approvals_asked ON approvals (identity, asked_ms);
