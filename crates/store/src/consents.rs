//! The table `consents`: what a resource owner allowed a client and asked to remember.
//!
//! A row is found only for the same account, client, host of the redirect URI and resource. Whether its scopes suffice is the
//! reader's to judge.

use rusqlite::{OptionalExtension as _, params};

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// A consent that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The account that consented.
    pub account: String,
    /// The client's identifier.
    pub client: String,
    /// Where the client is redirected to: scheme and host, with the port where it counts.
    pub redirect_host: String,
    /// The protected resource.
    pub resource: String,
    /// The scopes, separated by spaces.
    pub scopes: String,
    /// When it was given, in Unix milliseconds.
    pub granted_ms: u64,
    /// When it is forgotten.
    pub expires_ms: u64,
}

/// Consents that are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Consents<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl Consents<'_> {
    /// Remembers a consent, in place of an earlier one for the same.
    pub async fn remember(self, consent: Consent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO consents (account, client, redirect_host, resource, \
                         scopes, granted_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        consent.account,
                        consent.client,
                        consent.redirect_host,
                        consent.resource,
                        consent.scopes,
                        integer(consent.granted_ms),
                        integer(consent.expires_ms),
                    ])
                    .map(drop)
            })
            .await
    }

    /// The scopes that `account` lets `client` have without being asked again.
    pub async fn scopes(
        self,
        account: String,
        client: String,
        redirect_host: String,
        resource: String,
        now_ms: u64,
    ) -> Result<Option<String>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT scopes FROM consents WHERE account = ?1 AND client = ?2 \
                         AND redirect_host = ?3 AND resource = ?4 AND expires_ms > ?5",
                    )?
                    .query_row(
                        params![account, client, redirect_host, resource, integer(now_ms)],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .await
    }

    /// Whether `account` has let `client`, at this place, have anything that is remembered.
    pub async fn any(
        self,
        account: String,
        client: String,
        redirect_host: String,
        now_ms: u64,
    ) -> Result<bool, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT 1 FROM consents WHERE account = ?1 AND client = ?2 \
                         AND redirect_host = ?3 AND expires_ms > ?4",
                    )?
                    .exists(params![account, client, redirect_host, integer(now_ms)])
            })
            .await
    }

    /// Forgets the consents of an account, for one client or for all.
    pub async fn withdraw(
        self,
        account: String,
        client: Option<String>,
    ) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM consents WHERE account = ?1 AND (?2 IS NULL OR client = ?2)",
                    )?
                    .execute(params![account, client])
            })
            .await
    }

    /// Forgets what has expired. Tells how many.
    pub async fn forget(self, now_ms: u64) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM consents WHERE expires_ms < ?1")?
                    .execute([integer(now_ms)])
            })
            .await
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
