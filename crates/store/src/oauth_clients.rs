//! The table `oauth_clients`: clients that registered themselves (RFC 7591).
//!
//! Anyone may register, so the table is bounded: those never used go after a while, and beyond a number none is taken.

use rusqlite::{OptionalExtension as _, params};

use crate::auth_events::{self, AuthEvent};
use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// A client that registered itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthClient {
    /// Its identifier.
    pub id: String,
    /// Its metadata as it was accepted, in JSON.
    pub metadata: String,
    /// The SHA-256 digest of its secret, if it has one.
    pub secret: Option<[u8; 32]>,
    /// When it registered, in Unix milliseconds.
    pub created_ms: u64,
}

/// Clients that registered themselves.
#[derive(Clone, Copy, Debug)]
pub struct OauthClients<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl OauthClients<'_> {
    /// Adds a client and records it, unless `unused_max` that were never used are there already: `false` then.
    pub async fn add(
        self,
        client: OauthClient,
        unused_max: u32,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                let rows = connection
                    .prepare_cached(
                        "INSERT INTO oauth_clients (id, metadata, secret, created_ms) \
                         SELECT ?1, ?2, ?3, ?4 WHERE \
                         (SELECT count(*) FROM oauth_clients WHERE used_ms IS NULL) < ?5",
                    )?
                    .execute(params![
                        client.id,
                        client.metadata,
                        client.secret.as_ref().map(<[u8; 32]>::as_slice),
                        integer(client.created_ms),
                        unused_max,
                    ])?;
                if rows == 1 {
                    auth_events::insert(connection, &event)?;
                }
                Ok(rows == 1)
            })
            .await
    }

    /// The client of this identifier.
    pub async fn find(self, id: String) -> Result<Option<OauthClient>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT id, metadata, secret, created_ms FROM oauth_clients WHERE id = ?1",
                    )?
                    .query_row([id], |row| {
                        Ok(OauthClient {
                            id: row.get(0)?,
                            metadata: row.get(1)?,
                            secret: row.get(2)?,
                            created_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                        })
                    })
                    .optional()
            })
            .await
    }

    /// Keeps the client from being forgotten: somebody has consented to it.
    pub async fn touch(self, id: String, now_ms: u64) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("UPDATE oauth_clients SET used_ms = ?2 WHERE id = ?1")?
                    .execute(params![id, integer(now_ms)])
                    .map(drop)
            })
            .await
    }

    /// Removes a client. Tells whether there was one.
    pub async fn remove(self, id: String) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                let rows = connection
                    .prepare_cached("DELETE FROM oauth_clients WHERE id = ?1")?
                    .execute([id])?;
                Ok(rows == 1)
            })
            .await
    }

    /// Forgets clients registered before `unused_before_ms` and never used, and those last used before `used_before_ms`
    /// that hold no grant. Tells how many.
    pub async fn forget(
        self,
        unused_before_ms: u64,
        used_before_ms: u64,
    ) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM oauth_clients WHERE (used_ms IS NULL AND created_ms < ?1) \
                         OR (used_ms < ?2 AND NOT EXISTS \
                         (SELECT 1 FROM grants WHERE grants.client = oauth_clients.id))",
                    )?
                    .execute(params![integer(unused_before_ms), integer(used_before_ms)])
            })
            .await
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
