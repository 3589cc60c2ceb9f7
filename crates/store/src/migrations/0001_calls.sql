-- One row for each request that reached the pipeline. No index but the key: identifiers grow with
-- time, so that a search by time walks the key.
CREATE TABLE calls (
    id                INTEGER PRIMARY KEY,
    request_id        TEXT    NOT NULL,
    started_ms        INTEGER NOT NULL,
    principal         TEXT    NOT NULL,
    client            TEXT,
    session           TEXT,
    server            TEXT    NOT NULL,
    method            TEXT    NOT NULL,
    target            TEXT,
    era_client        TEXT    NOT NULL,
    era_server        TEXT    NOT NULL,
    arguments_bytes   INTEGER NOT NULL,
    arguments_sha256  BLOB,
    outcome           TEXT    NOT NULL,
    denial_code       TEXT,
    error_code        INTEGER,
    result_bytes      INTEGER,
    duration_us       INTEGER,
    completed_ms      INTEGER
) STRICT;

-- Small facts about the tables, by name.
CREATE TABLE marks (
    name   TEXT PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
