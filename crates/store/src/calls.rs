//! The table `calls`: one row for each request that reached the pipeline.
//!
//! A row is inserted before the request goes on, and completed when its outcome is known. A request
//! that was denied is one insert.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// The longest target that is kept, in characters; a longer one is cut.
pub const TARGET_CHARS_MAX: usize = 256;

/// The longest name a client gives itself that is kept, in characters; a longer one is cut.
pub const CLIENT_CHARS_MAX: usize = 128;

/// After how many inserts the low-water mark is written anew.
const MARK_EVERY: u32 = 4096;

/// A row's key. Later calls have larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) i64);

impl CallId {
    /// The key itself.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// What is known of a request before it goes on.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// The gateway's own identifier, which the caller is told as well.
    pub request_id: Box<str>,
    /// When it arrived, in Unix milliseconds.
    pub started_ms: u64,
    /// Who asked.
    pub principal: Arc<str>,
    /// What the client calls itself; cut at [`CLIENT_CHARS_MAX`].
    pub client: Option<Box<str>>,
    /// A digest of the session's identifier, never the identifier.
    pub session: Option<Box<str>>,
    /// The configured name of the server.
    pub server: Box<str>,
    /// The method.
    pub method: Box<str>,
    /// The tool, prompt or URI; cut at [`TARGET_CHARS_MAX`].
    pub target: Option<Box<str>>,
    /// The client's era.
    pub era_client: &'static str,
    /// The server's era.
    pub era_server: &'static str,
    /// The size of what was sent along, in bytes.
    pub arguments_bytes: u64,
    /// Its SHA-256.
    pub arguments_sha256: Option<[u8; 32]>,
    /// What was sent along with what was known of who sent it, where the operator wants it kept whole.
    pub arguments: Option<Box<[u8]>>,
    /// The OAuth client that acts for the principal.
    pub oauth_client: Option<Arc<str>>,
    /// The scopes that opened it, separated by spaces; `None` where none was needed.
    pub scopes: Option<Box<str>>,
    /// What the permission model said; `None` where it was not asked.
    pub verdict: Option<Verdict>,
}

/// What the permission model said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `allow`, `approved`, `ask`, `deny` or `observed`.
    pub decision: &'static str,
    /// The code of a denial that was only observed.
    pub reason: Option<&'static str>,
    /// The identifiers of the policies that determined it, separated by spaces.
    pub policies: Arc<str>,
    /// The version of the policies.
    pub version: Arc<str>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// In which way.
    pub outcome: Outcome,
    /// The denial's code, if a check refused the request or its result.
    pub denial_code: Option<&'static str>,
    /// The JSON-RPC error code that was answered.
    pub error_code: Option<i64>,
    /// The size of the result in bytes.
    pub result_bytes: Option<u64>,
    /// How long it took, in microseconds; `None` when nobody measured.
    pub duration_us: Option<u64>,
    /// When it ended, in Unix milliseconds; `None` when nobody looked.
    pub completed_ms: Option<u64>,
}

impl CallEnd {
    /// An end of which nothing but the outcome is known.
    pub fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            denial_code: None,
            error_code: None,
            result_bytes: None,
            duration_us: None,
            completed_ms: None,
        }
    }
}

/// The ways in which a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has not ended.
    Started,
    /// A result.
    Ok,
    /// A tool result that says `isError`.
    ToolError,
    /// A JSON-RPC error from the server.
    RpcError,
    /// The server asks for input before it goes on.
    InputRequired,
    /// A check refused the request or its result.
    Denied,
    /// The gateway refused it for a reason other than a check: too many calls, shutting down.
    Refused,
    /// The server took too long.
    Timeout,
    /// The client cancelled it.
    Cancelled,
    /// The server could not be reached, or broke off.
    UpstreamDown,
    /// The gateway dropped it without an answer: its client went away.
    Abandoned,
    /// The gateway ended before the call did. Set when the database is opened next.
    Interrupted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 12] = [
        Self::Started,
        Self::Ok,
        Self::ToolError,
        Self::RpcError,
        Self::InputRequired,
        Self::Denied,
        Self::Refused,
        Self::Timeout,
        Self::Cancelled,
        Self::UpstreamDown,
        Self::Abandoned,
        Self::Interrupted,
    ];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::InputRequired => "input_required",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::UpstreamDown => "upstream_down",
            Self::Abandoned => "abandoned",
            Self::Interrupted => "interrupted",
        }
    }

    /// The outcome of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// Which rows to read, newest first. Every field that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Only rows with a smaller key: the last row of the page before.
    pub before: Option<CallId>,
    /// The gateway's own identifier of the request.
    pub request_id: Option<String>,
    /// Who asked.
    pub principal: Option<String>,
    /// The server.
    pub server: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The tool, prompt or URI.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Started at this Unix millisecond or later.
    pub since_ms: Option<u64>,
    /// How many rows at most; `None`: 100. Never more than 10,000.
    pub rows_max: Option<u32>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `CallStart` and `CallEnd`"
)]
pub struct CallRow {
    pub id: CallId,
    pub request_id: String,
    pub started_ms: u64,
    pub principal: String,
    pub client: Option<String>,
    pub session: Option<String>,
    pub server: String,
    pub method: String,
    pub target: Option<String>,
    pub era_client: String,
    pub era_server: String,
    pub arguments_bytes: u64,
    pub arguments_sha256: Option<Vec<u8>>,
    pub outcome: String,
    pub denial_code: Option<String>,
    pub error_code: Option<i64>,
    pub result_bytes: Option<u64>,
    pub duration_us: Option<u64>,
    pub completed_ms: Option<u64>,
    pub decision: Option<String>,
    pub decision_reason: Option<String>,
    pub policies: Option<String>,
    pub policy_version: Option<String>,
    pub oauth_client: Option<String>,
    pub scopes: Option<String>,
}

/// Scopes that opened calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopesUsed {
    /// Who called.
    pub principal: String,
    /// The OAuth client that acted for them.
    pub oauth_client: Option<String>,
    /// The scopes, separated by spaces.
    pub scopes: String,
    /// When they last did, in Unix milliseconds.
    pub last_ms: u64,
}

/// Why rows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `SQLite` refused.
    #[error("the record of calls could not be read; check the database file")]
    Sql(#[from] rusqlite::Error),
    /// The reading thread was stopped.
    #[error("the reader of the record was stopped; the gateway is shutting down")]
    Stopped(#[source] tokio::task::JoinError),
}

/// The record of calls.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl Calls<'_> {
    /// Records that a request is about to go on. Resolves once the row is committed; no `Ok`, no
    /// row to rely on. Waits while too many others wait. When the future is dropped after the row was
    /// queued, the row ends as [`Outcome::Abandoned`].
    pub async fn begin(self, start: CallStart) -> Result<CallId, RecordError> {
        self.writer.insert(start, None).await
    }

    /// Records how it ended. Never waits: the row is written with the next commit, within a second.
    pub fn finish(self, id: CallId, end: CallEnd) {
        self.writer.finish(id, end);
    }

    /// Records a request that went no further, in one committed row.
    pub async fn deny(self, start: CallStart, end: CallEnd) -> Result<CallId, RecordError> {
        self.writer.insert(start, Some(end)).await
    }

    /// Resolves once everything queued before is committed.
    pub async fn flush(self) -> Result<(), RecordError> {
        self.writer.flush().await
    }

    /// The rows that `filter` selects, newest first.
    pub async fn search(self, filter: CallFilter) -> Result<Vec<CallRow>, ReadError> {
        self.readers
            .run(move |connection| select(connection, &filter))
            .await
    }

    /// The calls whose arguments were kept, oldest first, at most `rows_max`, each with its arguments.
    pub async fn kept(
        self,
        server: Option<String>,
        since_ms: u64,
        rows_max: u32,
    ) -> Result<Vec<(CallRow, Vec<u8>)>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT calls.*, call_arguments.arguments AS kept FROM calls \
                     JOIN call_arguments ON call_arguments.call_id = calls.id \
                     WHERE (?1 IS NULL OR server = ?1) AND started_ms >= ?2 ORDER BY id LIMIT ?3",
                )?;
                let rows = statement
                    .query_map(params![server, integer(since_ms), rows_max], |row| {
                        Ok((read_row(row)?, row.get("kept")?))
                    })?;
                rows.collect()
            })
            .await
    }

    /// The scopes that opened calls, each with principal, OAuth client and when it last did, in Unix milliseconds.
    pub async fn scopes_used(self) -> Result<Vec<ScopesUsed>, ReadError> {
        self.readers
            .run(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT principal, oauth_client, scopes, max(started_ms) FROM calls \
                     WHERE scopes IS NOT NULL GROUP BY principal, oauth_client, scopes",
                )?;
                let rows = statement.query_map([], |row| {
                    Ok(ScopesUsed {
                        principal: row.get(0)?,
                        oauth_client: row.get(1)?,
                        scopes: row.get(2)?,
                        last_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                    })
                })?;
                rows.collect()
            })
            .await
    }

    /// How many calls have begun and not ended.
    pub async fn unfinished(self) -> Result<u64, ReadError> {
        self.readers
            .run(|connection| {
                let low = mark(connection)?;
                connection
                    .query_row(
                        "SELECT count(*) FROM calls WHERE id > ?1 AND outcome = 'started'",
                        [low],
                        |row| row.get::<_, i64>(0),
                    )
                    .map(i64::unsigned_abs)
            })
            .await
    }
}

/// The writer's side of the table: prepared statements, and which rows are open.
#[derive(Default)]
pub(crate) struct Open {
    ids: BTreeSet<i64>,
    unmarked: u32,
    last: i64,
}

impl Open {
    /// Inserts one row.
    pub(crate) fn insert(
        &mut self,
        connection: &Connection,
        id: i64,
        start: &CallStart,
        end: Option<&CallEnd>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
             ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)",
        )?;
        let verdict = start.verdict.as_ref();
        statement.execute(params![
            id,
            &*start.request_id,
            integer(start.started_ms),
            &*start.principal,
            start
                .client
                .as_deref()
                .map(|text| cut(text, CLIENT_CHARS_MAX)),
            start.session.as_deref(),
            &*start.server,
            &*start.method,
            start
                .target
                .as_deref()
                .map(|text| cut(text, TARGET_CHARS_MAX)),
            start.era_client,
            start.era_server,
            integer(start.arguments_bytes),
            start.arguments_sha256.as_ref().map(<[u8; 32]>::as_slice),
            end.map_or(Outcome::Started, |end| end.outcome).as_str(),
            end.and_then(|end| end.denial_code),
            end.and_then(|end| end.error_code),
            end.and_then(|end| end.result_bytes).map(integer),
            end.and_then(|end| end.duration_us).map(integer),
            end.and_then(|end| end.completed_ms).map(integer),
            verdict.map(|verdict| verdict.decision),
            verdict.and_then(|verdict| verdict.reason),
            verdict.map(|verdict| &*verdict.policies),
            verdict.map(|verdict| &*verdict.version),
            start.oauth_client.as_deref(),
            start.scopes.as_deref(),
        ])?;
        if let Some(arguments) = &start.arguments {
            connection
                .prepare_cached("INSERT INTO call_arguments VALUES (?1, ?2)")?
                .execute(params![id, &**arguments])?;
        }
        if end.is_none() {
            self.ids.insert(id);
        }
        self.last = self.last.max(id);
        self.unmarked = self.unmarked.saturating_add(1);
        Ok(())
    }

    /// Completes one row.
    pub(crate) fn finish(
        &mut self,
        connection: &Connection,
        id: i64,
        end: &CallEnd,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "UPDATE calls SET outcome = ?2, denial_code = ?3, error_code = ?4, result_bytes = ?5, \
             duration_us = ?6, completed_ms = ?7 WHERE id = ?1",
        )?;
        statement.execute(params![
            id,
            end.outcome.as_str(),
            end.denial_code,
            end.error_code,
            end.result_bytes.map(integer),
            end.duration_us.map(integer),
            end.completed_ms.map(integer),
        ])?;
        self.ids.remove(&id);
        Ok(())
    }

    /// Writes the low-water mark now and then, or when `now` is set: every row at or below it has
    /// ended, so that what a crash left open is found without a walk through the table.
    pub(crate) fn mark(&mut self, connection: &Connection, now: bool) -> rusqlite::Result<()> {
        if !now && self.unmarked < MARK_EVERY {
            return Ok(());
        }
        let low = self
            .ids
            .first()
            .map_or(self.last, |first| first.saturating_sub(1));
        if low > 0 {
            connection
                .prepare_cached("INSERT OR REPLACE INTO marks VALUES ('calls_ended', ?1)")?
                .execute([low])?;
        }
        self.unmarked = 0;
        Ok(())
    }

    /// Whether any row waits for its end.
    pub(crate) fn any(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Forgets a row whose insert was rolled back.
    pub(crate) fn forget(&mut self, id: i64) {
        self.ids.remove(&id);
    }
}

/// Marks what an earlier process left open, and tells the largest key.
pub(crate) fn recover(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction()?;
    let low = mark(&transaction)?;
    transaction.execute(
        "UPDATE calls SET outcome = 'interrupted' WHERE id > ?1 AND outcome = 'started'",
        [low],
    )?;
    let last: i64 = transaction.query_row("SELECT coalesce(max(id), 0) FROM calls", [], |row| {
        row.get(0)
    })?;
    transaction.execute(
        "INSERT OR REPLACE INTO marks VALUES ('calls_ended', ?1)",
        [last],
    )?;
    transaction.commit()?;
    Ok(last)
}

fn mark(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .query_row(
            "SELECT value FROM marks WHERE name = 'calls_ended'",
            [],
            |row| row.get(0),
        )
        .optional()
        .map(Option::unwrap_or_default)
}

fn select(connection: &Connection, filter: &CallFilter) -> rusqlite::Result<Vec<CallRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM calls
         WHERE (:before IS NULL OR id < :before)
           AND (:request_id IS NULL OR request_id = :request_id)
           AND (:principal IS NULL OR principal = :principal)
           AND (:server IS NULL OR server = :server)
           AND (:method IS NULL OR method = :method)
           AND (:target IS NULL OR target = :target)
           AND (:outcome IS NULL OR outcome = :outcome)
           AND (:since_ms IS NULL OR started_ms >= :since_ms)
         ORDER BY id DESC LIMIT :rows_max",
    )?;
    let rows = statement.query_map(
        named_params! {
            ":before": filter.before.map(CallId::get),
            ":request_id": filter.request_id,
            ":principal": filter.principal,
            ":server": filter.server,
            ":method": filter.method,
            ":target": filter.target,
            ":outcome": filter.outcome.map(Outcome::as_str),
            ":since_ms": filter.since_ms.map(integer),
            ":rows_max": filter.rows_max.unwrap_or(100).min(10_000),
        },
        read_row,
    )?;
    rows.collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let maybe = |name: &str| {
        row.get::<_, Option<i64>>(name)
            .map(|it| it.map(i64::unsigned_abs))
    };
    Ok(CallRow {
        id: CallId(row.get("id")?),
        request_id: row.get("request_id")?,
        started_ms: count("started_ms")?,
        principal: row.get("principal")?,
        client: row.get("client")?,
        session: row.get("session")?,
        server: row.get("server")?,
        method: row.get("method")?,
        target: row.get("target")?,
        era_client: row.get("era_client")?,
        era_server: row.get("era_server")?,
        arguments_bytes: count("arguments_bytes")?,
        arguments_sha256: row.get("arguments_sha256")?,
        outcome: row.get("outcome")?,
        denial_code: row.get("denial_code")?,
        error_code: row.get("error_code")?,
        result_bytes: maybe("result_bytes")?,
        duration_us: maybe("duration_us")?,
        completed_ms: maybe("completed_ms")?,
        decision: row.get("decision")?,
        decision_reason: row.get("decision_reason")?,
        policies: row.get("policies")?,
        policy_version: row.get("policy_version")?,
        oauth_client: row.get("oauth_client")?,
        scopes: row.get("scopes")?,
    })
}

/// `SQLite` has signed integers only; what does not fit is as large as can be.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn cut(text: &str, chars_max: usize) -> &str {
    // A character takes a byte at least, so a short text needs no count.
    if text.len() <= chars_max {
        return text;
    }
    let end = text
        .char_indices()
        .nth(chars_max)
        .map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

impl std::fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
