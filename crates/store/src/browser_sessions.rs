//! The table `browser_sessions`: browsers that are logged in, by the digest of their cookie.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::accounts;
use crate::auth_events::{self, AuthEvent};
use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// The table of browser sessions.
#[derive(Clone, Copy, Debug)]
pub struct BrowserSessions<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSpan {
    /// Without a request, in milliseconds.
    pub idle_ms: u64,
    /// At all, in milliseconds.
    pub total_ms: u64,
}

/// A session to be begun.
#[derive(Clone, Debug)]
pub struct NewBrowserSession {
    /// The digest of its cookie.
    pub digest: [u8; 32],
    /// Whose it is.
    pub account: String,
    /// The version of the account that was authenticated against.
    pub version: u64,
    /// The digest of the session that this browser had before, which ends.
    pub replaces: Option<[u8; 32]>,
    /// How many sessions an account has at most; the oldest end.
    pub sessions_max: u32,
}

/// A session that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    /// Whose it is.
    pub account: String,
    /// What pages call the account.
    pub display: String,
    /// The account's groups.
    pub groups: Vec<Box<str>>,
    /// When it began, in Unix milliseconds.
    pub authenticated_ms: u64,
    /// When it was last used, in Unix milliseconds, as far as was written down.
    pub seen_ms: u64,
}

impl BrowserSessions<'_> {
    /// Begins a session at the time of `event`, which is recorded with it, and forgets those that ended. `false`: the account is
    /// disabled, gone, or has other credentials by now.
    pub async fn begin(
        self,
        new: NewBrowserSession,
        span: SessionSpan,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                let now = event.at_ms;
                let may = connection
                    .prepare_cached(
                        "SELECT 1 FROM accounts WHERE name = ?1 AND version = ?2 AND disabled = 0",
                    )?
                    .query_row(params![new.account, integer(new.version)], |_| Ok(()))
                    .optional()?;
                if may.is_none() {
                    return Ok(false);
                }
                connection.execute(
                    "DELETE FROM browser_sessions WHERE seen_ms <= ?1 OR authenticated_ms <= ?2",
                    params![
                        integer(now.saturating_sub(span.idle_ms)),
                        integer(now.saturating_sub(span.total_ms))
                    ],
                )?;
                if let Some(old) = new.replaces {
                    delete(connection, old)?;
                }
                connection.execute(
                    "DELETE FROM browser_sessions WHERE digest IN (SELECT digest FROM \
                     browser_sessions WHERE account = ?1 ORDER BY authenticated_ms DESC \
                     LIMIT -1 OFFSET ?2)",
                    params![new.account, new.sessions_max.saturating_sub(1)],
                )?;
                connection.execute(
                    "INSERT INTO browser_sessions (digest, account, authenticated_ms, seen_ms) \
                     VALUES (?1, ?2, ?3, ?3)",
                    params![new.digest, new.account, integer(now)],
                )?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// The session of this digest, while it lasts and its account may log in.
    pub async fn find(
        self,
        digest: [u8; 32],
        span: SessionSpan,
        now_ms: u64,
    ) -> Result<Option<BrowserSession>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT account, display, groups, authenticated_ms, seen_ms \
                         FROM browser_sessions JOIN accounts ON name = account \
                         WHERE digest = ?1 AND disabled = 0 AND seen_ms > ?2 \
                         AND authenticated_ms > ?3",
                    )?
                    .query_row(
                        params![
                            digest,
                            integer(now_ms.saturating_sub(span.idle_ms)),
                            integer(now_ms.saturating_sub(span.total_ms))
                        ],
                        |row| {
                            Ok(BrowserSession {
                                account: row.get(0)?,
                                display: row.get(1)?,
                                groups: accounts::groups(&row.get::<_, String>(2)?),
                                authenticated_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                                seen_ms: row.get::<_, i64>(4)?.unsigned_abs(),
                            })
                        },
                    )
                    .optional()
            })
            .await
    }

    /// Writes down that a session was used.
    pub async fn touch(self, digest: [u8; 32], now_ms: u64) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE browser_sessions SET seen_ms = max(seen_ms, ?2) WHERE digest = ?1",
                    )?
                    .execute(params![digest, integer(now_ms)])
                    .map(drop)
            })
            .await
    }

    /// Ends a session.
    pub async fn end(self, digest: [u8; 32], event: AuthEvent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                if delete(connection, digest)? > 0 {
                    auth_events::insert(connection, &event)?;
                }
                Ok(())
            })
            .await
    }

    /// How many sessions an account has, ended ones that were not forgotten yet among them.
    pub async fn count(self, account: &str) -> Result<u64, ReadError> {
        let account = account.to_owned();
        self.readers
            .run(move |connection| {
                connection
                    .query_row(
                        "SELECT count(*) FROM browser_sessions WHERE account = ?1",
                        [account],
                        |row| row.get::<_, i64>(0),
                    )
                    .map(i64::unsigned_abs)
            })
            .await
    }
}

/// Ends all sessions of an account; part of whatever transaction is open.
pub(crate) fn end_all(connection: &Connection, account: &str) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM browser_sessions WHERE account = ?1", [account])
}

fn delete(connection: &Connection, digest: [u8; 32]) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM browser_sessions WHERE digest = ?1")?
        .execute([digest])
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
