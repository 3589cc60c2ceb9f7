//! The tables `server_tokens`, `server_connects`, `server_challenges` and `identity_tokens`: tokens that the gateway holds for servers,
//! connections that an account has approved and not yet completed, and what its login at an identity provider left. What opens something is sealed before it comes here.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// How many connections of one account may be under way; the oldest give way.
pub const CONNECTS_PER_ACCOUNT_MAX: u32 = 16;

/// Tokens for servers.
#[derive(Clone, Copy, Debug)]
pub struct ServerTokens<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

/// Whose token it is, for what, and whose word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerTokenKey {
    /// The principal; empty where one token serves all.
    pub principal: String,
    /// The server's name in the configuration.
    pub server: String,
    /// The authorization server.
    pub issuer: String,
    /// The protected resource (RFC 8707).
    pub resource: String,
}

/// A token, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTokenRow {
    /// Whose and for what.
    pub key: ServerTokenKey,
    /// The tokens, sealed.
    pub sealed: Vec<u8>,
    /// Grows with each change.
    pub generation: u64,
    /// When it was last changed, in Unix milliseconds.
    pub updated_ms: u64,
}

/// A connection under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConnectRow {
    /// SHA-256 of `state`.
    pub state: [u8; 32],
    /// The account that approved it.
    pub account: String,
    /// The server's name in the configuration.
    pub server: String,
    /// What is needed to complete it, sealed.
    pub sealed: Vec<u8>,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

impl ServerTokens<'_> {
    /// The tokens of a principal for a server, the last changed first: several only while the server moves from one
    /// authorization server or resource to another.
    pub async fn of(
        self,
        principal: String,
        server: String,
    ) -> Result<Vec<ServerTokenRow>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM server_tokens WHERE principal = ?1 AND server = ?2 \
                     ORDER BY updated_ms DESC, issuer, resource LIMIT 16",
                )?;
                let rows = statement.query_map(params![principal, server], read_row)?;
                rows.collect()
            })
            .await
    }

    /// Whether a principal has a token for a server, and since when, for each server: what an account's page lists.
    pub async fn servers(self, principal: String) -> Result<Vec<(String, u64)>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT server, max(updated_ms) FROM server_tokens WHERE principal = ?1 \
                     GROUP BY server ORDER BY server",
                )?;
                let rows = statement.query_map([principal], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
                })?;
                rows.collect()
            })
            .await
    }

    /// Keeps a token, and drops those of the same principal for the same server from elsewhere. Tells its generation.
    pub async fn put(
        self,
        key: ServerTokenKey,
        sealed: Vec<u8>,
        now_ms: u64,
    ) -> Result<u64, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM server_tokens WHERE principal = ?1 AND server = ?2 \
                         AND (issuer <> ?3 OR resource <> ?4)",
                    )?
                    .execute(params![key.principal, key.server, key.issuer, key.resource])?;
                // Started by the time, so that a row that is deleted and made anew has another generation.
                connection
                    .prepare_cached(
                        "INSERT INTO server_tokens (principal, server, issuer, resource, sealed, \
                         generation, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) \
                         ON CONFLICT (principal, server, issuer, resource) DO UPDATE SET \
                         sealed = excluded.sealed, updated_ms = excluded.updated_ms, \
                         generation = max(generation + 1, excluded.generation) \
                         RETURNING generation",
                    )?
                    .query_row(
                        params![
                            key.principal,
                            key.server,
                            key.issuer,
                            key.resource,
                            sealed,
                            integer(now_ms),
                        ],
                        |row| row.get::<_, i64>(0).map(i64::unsigned_abs),
                    )
            })
            .await
    }

    /// Drops a token, if it is still the one of `generation`.
    pub async fn remove(self, key: ServerTokenKey, generation: u64) -> Result<bool, RecordError> {
        let removed = self
            .writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM server_tokens WHERE principal = ?1 AND server = ?2 \
                         AND issuer = ?3 AND resource = ?4 AND generation = ?5",
                    )?
                    .execute(params![
                        key.principal,
                        key.server,
                        key.issuer,
                        key.resource,
                        integer(generation),
                    ])
            })
            .await?;
        Ok(removed > 0)
    }

    /// Drops the tokens of a principal, for one server or all, and its connections under way. Once this resolves, no process
    /// uses them.
    pub async fn forget(
        self,
        principal: String,
        server: Option<String>,
    ) -> Result<usize, RecordError> {
        let removed = self
            .writer
            .run(move |connection| {
                connection.execute(
                    "DELETE FROM server_connects WHERE account = ?1 \
                     AND (?2 IS NULL OR server = ?2)",
                    params![principal, server],
                )?;
                connection.execute(
                    "DELETE FROM server_challenges WHERE principal = ?1 \
                     AND (?2 IS NULL OR server = ?2)",
                    params![principal, server],
                )?;
                if server.is_none() {
                    connection.execute(
                        "DELETE FROM identity_tokens WHERE principal = ?1",
                        [&principal],
                    )?;
                }
                connection.execute(
                    "DELETE FROM server_tokens WHERE principal = ?1 \
                     AND (?2 IS NULL OR server = ?2)",
                    params![principal, server],
                )
            })
            .await?;
        self.epoch.announce()?;
        Ok(removed)
    }

    /// Has every process, this one too, look at the tokens anew: one was kept that others wait for.
    pub fn announce(self) -> Result<(), RecordError> {
        self.epoch.announce()?;
        Ok(())
    }

    /// Keeps what a server asks a principal for, in place of what it asked before.
    pub async fn put_challenge(
        self,
        principal: String,
        server: String,
        challenge: String,
        now_ms: u64,
    ) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO server_challenges \
                         (principal, server, challenge, at_ms) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![principal, server, challenge, integer(now_ms)])
                    .map(drop)
            })
            .await
    }

    /// What a server asked a principal for, if that was later than `since_ms`.
    pub async fn challenge(
        self,
        principal: String,
        server: String,
        since_ms: u64,
    ) -> Result<Option<String>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT challenge FROM server_challenges \
                         WHERE principal = ?1 AND server = ?2 AND at_ms > ?3",
                    )?
                    .query_row(params![principal, server, integer(since_ms)], |row| {
                        row.get(0)
                    })
                    .optional()
            })
            .await
    }

    /// Keeps an identity provider's token about a principal, in place of an earlier one.
    pub async fn put_identity(
        self,
        principal: String,
        issuer: String,
        sealed: Vec<u8>,
        expires_ms: u64,
    ) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO identity_tokens \
                         (principal, issuer, sealed, expires_ms) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![principal, issuer, sealed, integer(expires_ms)])
                    .map(drop)
            })
            .await
    }

    /// The token of an identity provider about a principal, if it has not expired.
    pub async fn identity(
        self,
        principal: String,
        issuer: String,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT sealed FROM identity_tokens \
                         WHERE principal = ?1 AND issuer = ?2 AND expires_ms > ?3",
                    )?
                    .query_row(params![principal, issuer, integer(now_ms)], |row| {
                        row.get(0)
                    })
                    .optional()
            })
            .await
    }

    /// Keeps a connection that was approved. Those that have ended go, and the oldest of an account that has too many.
    pub async fn connect(self, row: ServerConnectRow, now_ms: u64) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| insert_connect(connection, &row, now_ms))
            .await
    }

    /// Takes the connection with this digest of `state`: it is found once. `None` if there is none, or it has ended.
    pub async fn take_connect(
        self,
        state: [u8; 32],
        now_ms: u64,
    ) -> Result<Option<ServerConnectRow>, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM server_connects WHERE state = ?1 \
                         RETURNING account, server, sealed, expires_ms",
                    )?
                    .query_row([state.as_slice()], |row| {
                        Ok(ServerConnectRow {
                            state,
                            account: row.get(0)?,
                            server: row.get(1)?,
                            sealed: row.get(2)?,
                            expires_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                        })
                    })
                    .optional()
                    .map(|row| row.filter(|row| row.expires_ms > now_ms))
            })
            .await
    }
}

fn insert_connect(
    connection: &Connection,
    row: &ServerConnectRow,
    now_ms: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM server_connects WHERE expires_ms <= ?1")?
        .execute([integer(now_ms)])?;
    connection
        .prepare_cached(
            "DELETE FROM server_connects WHERE state IN (SELECT state FROM server_connects \
             WHERE account = ?1 ORDER BY expires_ms DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![row.account, CONNECTS_PER_ACCOUNT_MAX - 1])?;
    connection
        .prepare_cached(
            "INSERT INTO server_connects (state, account, server, sealed, expires_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            row.state.as_slice(),
            row.account,
            row.server,
            row.sealed,
            integer(row.expires_ms),
        ])
        .map(drop)
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ServerTokenRow> {
    Ok(ServerTokenRow {
        key: ServerTokenKey {
            principal: row.get("principal")?,
            server: row.get("server")?,
            issuer: row.get("issuer")?,
            resource: row.get("resource")?,
        },
        sealed: row.get("sealed")?,
        generation: row.get::<_, i64>("generation")?.unsigned_abs(),
        updated_ms: row.get::<_, i64>("updated_ms")?.unsigned_abs(),
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
