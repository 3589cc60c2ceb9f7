//! The table `secrets`: values that an operator gave by name, sealed before they come here.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// Sealed secrets.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

/// What a list shows of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// When it was set, in Unix milliseconds.
    pub updated_ms: u64,
}

impl Secrets<'_> {
    /// Sets or replaces a secret. Once this resolves, no process uses the earlier value.
    pub async fn set(self, name: String, sealed: Vec<u8>, now_ms: u64) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO secrets (name, sealed, updated_ms) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, \
                         updated_ms = excluded.updated_ms",
                    )?
                    .execute(params![name, sealed, integer(now_ms)])
            })
            .await?;
        self.epoch.announce()
    }

    /// The sealed value of a secret.
    pub async fn get(self, name: String) -> Result<Option<Vec<u8>>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT sealed FROM secrets WHERE name = ?1")?
                    .query_row([name], |row| row.get(0))
                    .optional()
            })
            .await
    }

    /// All names, in order.
    pub async fn list(self) -> Result<Vec<SecretRow>, ReadError> {
        self.readers.run(select).await
    }

    /// Removes a secret. Tells whether there was one.
    pub async fn remove(self, name: String) -> Result<bool, RecordError> {
        let removed = self
            .writer
            .run(move |connection| {
                connection.execute("DELETE FROM secrets WHERE name = ?1", [name])
            })
            .await?;
        self.epoch.announce()?;
        Ok(removed > 0)
    }
}

fn select(connection: &Connection) -> rusqlite::Result<Vec<SecretRow>> {
    let mut statement = connection.prepare("SELECT name, updated_ms FROM secrets ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        Ok(SecretRow {
            name: row.get(0)?,
            updated_ms: row.get::<_, i64>(1)?.unsigned_abs(),
        })
    })?;
    rows.collect()
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
