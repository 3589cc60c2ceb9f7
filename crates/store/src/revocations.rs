//! The table `revocations`: tokens that are no longer valid though their signature and their times still are.
//!
//! A row names what is revoked: `jti:ID` one token, `grant:ID` a grant with all its tokens, `client:ID` a client,
//! `sub:NAME` an account. Tokens issued at `before_ms` or earlier are dead.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::calls::ReadError;
use crate::grants;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// What has been revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revocations<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a crate::epoch::Epoch,
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// `jti:…`, `grant:…`, `client:…` or `sub:…`.
    pub id: String,
    /// Tokens issued at this Unix millisecond or before are dead.
    pub before_ms: u64,
    /// When the last token that it concerns has expired, in Unix milliseconds: the row may go then.
    pub until_ms: u64,
}

impl Revocations<'_> {
    /// Revokes. Once this resolves, no verdict made before is believed, in any process.
    pub async fn add(self, revocation: Revocation) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| insert(connection, &revocation))
            .await?;
        self.epoch.announce()
    }

    /// Whether a token issued at `issued_ms` is revoked under one of `ids`.
    pub async fn any(self, ids: Vec<String>, issued_ms: u64) -> Result<bool, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT 1 FROM revocations WHERE id = ?1 AND before_ms >= ?2",
                )?;
                for id in &ids {
                    let found = statement
                        .query_row(params![id, integer(issued_ms)], |_| Ok(()))
                        .optional()?;
                    if found.is_some() {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await
    }

    /// Forgets rows that concern no token any more. Tells how many.
    pub async fn forget(self, now_ms: u64) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "DELETE FROM revocations WHERE until_ms < ?1",
                    [integer(now_ms)],
                )
            })
            .await
    }
}

/// Inserts or extends one row; part of whatever transaction is open. Whoever calls it announces the epoch after the commit.
pub(crate) fn insert(connection: &Connection, revocation: &Revocation) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO revocations (id, before_ms, until_ms) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET before_ms = max(before_ms, excluded.before_ms), \
             until_ms = max(until_ms, excluded.until_ms)",
        )?
        .execute(params![
            revocation.id,
            integer(revocation.before_ms),
            integer(revocation.until_ms)
        ])
        .map(drop)?;
    grants::end(connection, revocation)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
