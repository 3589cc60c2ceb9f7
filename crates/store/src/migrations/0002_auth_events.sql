-- One row for each authentication event. No token, code, secret or password is ever in it.
CREATE TABLE auth_events (
    id           INTEGER PRIMARY KEY,
    at_ms        INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    outcome      TEXT    NOT NULL,
    reason       TEXT,
    principal    TEXT,
    client       TEXT,
    issuer       TEXT,
    resource     TEXT,
    scopes       TEXT,
    address      TEXT,
    correlation  TEXT
) STRICT;
