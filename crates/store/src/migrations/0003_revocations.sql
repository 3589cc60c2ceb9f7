-- What is no longer valid though its signature and its times still are.
CREATE TABLE revocations (
    id         TEXT    PRIMARY KEY,
    before_ms  INTEGER NOT NULL,
    until_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
