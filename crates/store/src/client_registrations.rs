//! The tables `client_registrations` and `server_issuers`: who the gateway is to each authorization server, and which one
//! a server named first.

use rusqlite::{OptionalExtension as _, params};

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// Registrations of the gateway as a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientRegistrations<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

/// A registration (RFC 7591 §3.2.1), sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRegistrationRow {
    /// The issuer it is good at.
    pub issuer: String,
    /// The redirect URI that was registered.
    pub redirect_uri: String,
    /// Identifier, secret and method, sealed.
    pub sealed: Vec<u8>,
    /// When, in Unix milliseconds.
    pub created_ms: u64,
    /// When its secret expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

impl ClientRegistrations<'_> {
    /// Keeps a registration in place of an earlier one.
    pub async fn put(self, row: ClientRegistrationRow) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO client_registrations \
                         (issuer, redirect_uri, sealed, created_ms, expires_ms) \
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        row.issuer,
                        row.redirect_uri,
                        row.sealed,
                        integer(row.created_ms),
                        row.expires_ms.map(integer),
                    ])
                    .map(drop)
            })
            .await
    }

    /// The registration at an issuer with a redirect URI.
    pub async fn get(
        self,
        issuer: String,
        redirect_uri: String,
    ) -> Result<Option<ClientRegistrationRow>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT sealed, created_ms, expires_ms FROM client_registrations \
                         WHERE issuer = ?1 AND redirect_uri = ?2",
                    )?
                    .query_row(params![issuer, redirect_uri], |row| {
                        Ok(ClientRegistrationRow {
                            issuer: issuer.clone(),
                            redirect_uri: redirect_uri.clone(),
                            sealed: row.get(0)?,
                            created_ms: row.get::<_, i64>(1)?.unsigned_abs(),
                            expires_ms: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                        })
                    })
                    .optional()
            })
            .await
    }

    /// Forgets the registration at an issuer, which no longer knows it.
    pub async fn remove(self, issuer: String, redirect_uri: String) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .execute(
                        "DELETE FROM client_registrations WHERE issuer = ?1 AND redirect_uri = ?2",
                        params![issuer, redirect_uri],
                    )
                    .map(drop)
            })
            .await
    }

    /// The issuer that `server` named first: `issuer`, unless an earlier one is on record.
    pub async fn first_issuer(
        self,
        server: String,
        issuer: String,
        now_ms: u64,
    ) -> Result<String, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO server_issuers (server, issuer, first_ms) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (server) DO NOTHING",
                    )?
                    .execute(params![server, issuer, integer(now_ms)])?;
                connection
                    .prepare_cached("SELECT issuer FROM server_issuers WHERE server = ?1")?
                    .query_row([server], |row| row.get(0))
            })
            .await
    }

    /// Forgets which issuer `server` named first, at the operator's word.
    pub async fn forget_issuer(self, server: String) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .execute("DELETE FROM server_issuers WHERE server = ?1", [server])
                    .map(drop)
            })
            .await
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
