//! The table `api_keys`: keys that programs show instead of a token.
//!
//! A row holds the digest of a key, never the key. What a key looks like and who may have one belongs to `oauth`.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::auth_events::{self, AuthEvent};
use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its public part, by which it is found.
    pub id: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// What a person calls it.
    pub name: String,
    /// As whom its holder acts.
    pub subject: String,
    /// Its scopes, separated by spaces; `None`: no scope restricts it.
    pub scopes: Option<String>,
    /// The protected resources it opens, separated by spaces; `None`: all.
    pub resources: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// From when on it is dead, in Unix milliseconds.
    pub expires_ms: u64,
    /// When it was last used, roughly.
    pub last_used_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

/// The keys.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeys<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

impl ApiKeys<'_> {
    /// Keeps a new key, together with the record of its making.
    pub async fn add(self, row: ApiKeyRow, event: AuthEvent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                insert(connection, &row)?;
                auth_events::insert(connection, &event)
            })
            .await
    }

    /// The key with this identifier.
    pub async fn find(self, id: String) -> Result<Option<ApiKeyRow>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT * FROM api_keys WHERE id = ?1")?
                    .query_row([id], read)
                    .optional()
            })
            .await
    }

    /// All keys, or those of `subject`, by identifier.
    pub async fn list(self, subject: Option<String>) -> Result<Vec<ApiKeyRow>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM api_keys WHERE :subject IS NULL OR subject = :subject \
                     ORDER BY id",
                )?;
                statement
                    .query_map(named_params! { ":subject": subject }, read)?
                    .collect()
            })
            .await
    }

    /// Revokes the key with this identifier, and records it. Once this resolves, no verdict made before is believed, in any
    /// process. Tells whether there was a key to revoke.
    pub async fn revoke(
        self,
        id: String,
        now_ms: u64,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let revoked = self.revoke_where("id = ?1", id, now_ms, event).await?;
        Ok(revoked > 0)
    }

    /// Revokes every key of `subject`, such as that of an account that ends. Tells how many.
    pub async fn revoke_subject(
        self,
        subject: String,
        now_ms: u64,
        event: AuthEvent,
    ) -> Result<usize, RecordError> {
        self.revoke_where("subject = ?1", subject, now_ms, event)
            .await
    }

    async fn revoke_where(
        self,
        condition: &'static str,
        value: String,
        now_ms: u64,
        event: AuthEvent,
    ) -> Result<usize, RecordError> {
        let revoked = self
            .writer
            .run(move |connection| {
                let revoked = connection.execute(
                    &format!(
                        "UPDATE api_keys SET revoked_ms = ?2 WHERE {condition} AND revoked_ms IS NULL"
                    ),
                    params![value, integer(now_ms)],
                )?;
                if revoked > 0 {
                    auth_events::insert(connection, &event)?;
                }
                Ok(revoked)
            })
            .await?;
        self.epoch.announce()?;
        Ok(revoked)
    }

    /// Notes that a key was used.
    pub async fn touch(self, id: String, now_ms: u64) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE api_keys SET last_used_ms = max(?2, coalesce(last_used_ms, 0)) \
                         WHERE id = ?1",
                    )?
                    .execute(params![id, integer(now_ms)])
                    .map(drop)
            })
            .await
    }
}

/// Revokes every key of `subject`; part of whatever transaction is open. Whoever calls it announces the epoch after the commit.
pub(crate) fn end_all(connection: &Connection, subject: &str, now_ms: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE api_keys SET revoked_ms = ?2 WHERE subject = ?1 AND revoked_ms IS NULL",
        )?
        .execute(params![subject, integer(now_ms)])
        .map(drop)
}

fn insert(connection: &Connection, row: &ApiKeyRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO api_keys (id, digest, name, subject, scopes, resources, created_ms, \
             expires_ms, last_used_ms, revoked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            row.id,
            row.digest,
            row.name,
            row.subject,
            row.scopes,
            row.resources,
            integer(row.created_ms),
            integer(row.expires_ms),
            row.last_used_ms.map(integer),
            row.revoked_ms.map(integer),
        ])
        .map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<ApiKeyRow> {
    Ok(ApiKeyRow {
        id: row.get("id")?,
        digest: row.get("digest")?,
        name: row.get("name")?,
        subject: row.get("subject")?,
        scopes: row.get("scopes")?,
        resources: row.get("resources")?,
        created_ms: row.get::<_, i64>("created_ms")?.unsigned_abs(),
        expires_ms: row.get::<_, i64>("expires_ms")?.unsigned_abs(),
        last_used_ms: row
            .get::<_, Option<i64>>("last_used_ms")?
            .map(i64::unsigned_abs),
        revoked_ms: row
            .get::<_, Option<i64>>("revoked_ms")?
            .map(i64::unsigned_abs),
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
