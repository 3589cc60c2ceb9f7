-- One row for each attempt of a confined local server to reach something over the network.
CREATE TABLE connections (
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    server TEXT NOT NULL,
    -- The tool whose call it was made in, where that is known.
    tool TEXT,
    -- Absent where nothing readable was asked for.
    host TEXT,
    port INTEGER,
    kind TEXT NOT NULL,
    method TEXT,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT
) STRICT;

CREATE INDEX connections_started ON connections (started_ms);
