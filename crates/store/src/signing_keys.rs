//! The table `signing_keys`: keys that sign tokens, sealed by their owner.
//!
//! Several processes may rotate at once; one transaction decides which of them did.

use rusqlite::{Connection, params};

use crate::auth_events::{self, AuthEvent};
use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// A key, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Its identifier.
    pub kid: String,
    /// The key itself, sealed.
    pub sealed: Vec<u8>,
    /// It signs from this Unix millisecond on, until the next key does.
    pub active_ms: u64,
}

/// Keys that sign tokens.
#[derive(Clone, Copy, Debug)]
pub struct SigningKeys<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

impl SigningKeys<'_> {
    /// Every key, the latest to become active first.
    pub async fn all(self) -> Result<Vec<SealedKey>, ReadError> {
        self.readers
            .run(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT kid, sealed, active_ms FROM signing_keys ORDER BY active_ms DESC, kid",
                )?;
                let rows = statement.query_map([], |row| {
                    Ok(SealedKey {
                        kid: row.get(0)?,
                        sealed: row.get(1)?,
                        active_ms: row.get::<_, i64>(2)?.unsigned_abs(),
                    })
                })?;
                rows.collect()
            })
            .await
    }

    /// Adds `key`, unless there is one that becomes, or became, active after `unless_after_ms`: `false` then, for somebody else
    /// has rotated.
    pub async fn add(
        self,
        key: SealedKey,
        unless_after_ms: Option<u64>,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let added = self
            .writer
            .run(move |connection| {
                let rows = connection
                    .prepare_cached(
                        "INSERT INTO signing_keys (kid, sealed, active_ms) SELECT ?1, ?2, ?3 \
                         WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE active_ms > ?4)",
                    )?
                    .execute(params![
                        key.kid,
                        key.sealed,
                        integer(key.active_ms),
                        unless_after_ms.map_or(-1, integer),
                    ])?;
                if rows == 1 {
                    auth_events::insert(connection, &event)?;
                }
                Ok(rows == 1)
            })
            .await?;
        if added {
            self.epoch.announce()?;
        }
        Ok(added)
    }

    /// Puts `key` in the place of all others: whatever they signed is no longer believed.
    pub async fn replace(self, key: SealedKey, event: AuthEvent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection.execute("DELETE FROM signing_keys", [])?;
                insert(connection, &key)?;
                auth_events::insert(connection, &event)
            })
            .await?;
        self.epoch.announce()
    }

    /// Removes the keys of these identifiers.
    pub async fn retire(self, kids: Vec<String>, event: AuthEvent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                let mut statement =
                    connection.prepare_cached("DELETE FROM signing_keys WHERE kid = ?1")?;
                for kid in &kids {
                    statement.execute([kid])?;
                }
                auth_events::insert(connection, &event)
            })
            .await?;
        self.epoch.announce()
    }
}

fn insert(connection: &Connection, key: &SealedKey) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO signing_keys (kid, sealed, active_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![key.kid, key.sealed, integer(key.active_ms)])
        .map(drop)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
