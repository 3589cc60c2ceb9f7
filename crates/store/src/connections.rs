//! The table `connections`: one row for each attempt of a confined local server to reach something over the network.

use rusqlite::{Row, named_params, params};

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// An attempt to reach something, once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// When it began, in Unix milliseconds.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The server.
    pub server: String,
    /// The tool whose call it was made in, where that is known.
    pub tool: Option<String>,
    /// The host as it was asked for; absent where nothing readable was.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// How it was asked for.
    pub kind: String,
    /// The method of a plain HTTP request.
    pub method: Option<String>,
    /// Bytes that went from the server to the host.
    pub bytes_out: u64,
    /// Bytes that came from the host to the server.
    pub bytes_in: u64,
    /// What became of it.
    pub verdict: String,
    /// Why, unless it was allowed and ended by itself.
    pub reason: Option<String>,
}

/// Which connections to read. Every field that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Of this server.
    pub server: Option<String>,
    /// With this verdict.
    pub verdict: Option<String>,
    /// At this Unix millisecond or later.
    pub since_ms: Option<u64>,
    /// How many rows at most.
    pub rows_max: u32,
}

/// The record of what local servers reached.
#[derive(Clone, Copy, Debug)]
pub struct Connections<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl Connections<'_> {
    /// Records connections, all or none, and resolves once they are committed.
    pub async fn append(self, records: Vec<ConnectionRecord>) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "INSERT INTO connections (started_ms, duration_ms, server, tool, host, port, kind, \
                     method, bytes_out, bytes_in, verdict, reason) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                )?;
                for record in &records {
                    statement.execute(params![
                        integer(record.started_ms),
                        integer(record.duration_ms),
                        record.server,
                        record.tool,
                        record.host,
                        record.port,
                        record.kind,
                        record.method,
                        integer(record.bytes_out),
                        integer(record.bytes_in),
                        record.verdict,
                        record.reason,
                    ])?;
                }
                Ok(())
            })
            .await
    }

    /// The connections that `filter` names, the newest first.
    pub async fn find(self, filter: ConnectionFilter) -> Result<Vec<ConnectionRecord>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM connections WHERE (:server IS NULL OR server = :server) \
                     AND (:verdict IS NULL OR verdict = :verdict) \
                     AND (:since IS NULL OR started_ms >= :since) ORDER BY id DESC LIMIT :rows",
                )?;
                let rows = statement.query_map(
                    named_params! {
                        ":server": filter.server,
                        ":verdict": filter.verdict,
                        ":since": filter.since_ms.map(integer),
                        ":rows": filter.rows_max,
                    },
                    row,
                )?;
                rows.collect()
            })
            .await
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn row(row: &Row<'_>) -> rusqlite::Result<ConnectionRecord> {
    let count = |name| row.get::<_, i64>(name).map(i64::unsigned_abs);
    Ok(ConnectionRecord {
        started_ms: count("started_ms")?,
        duration_ms: count("duration_ms")?,
        server: row.get("server")?,
        tool: row.get("tool")?,
        host: row.get("host")?,
        port: row.get("port")?,
        kind: row.get("kind")?,
        method: row.get("method")?,
        bytes_out: count("bytes_out")?,
        bytes_in: count("bytes_in")?,
        verdict: row.get("verdict")?,
        reason: row.get("reason")?,
    })
}
