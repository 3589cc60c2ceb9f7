//! The tables `grants`, `codes` and `refresh_tokens`: what was granted, and what may still be exchanged for tokens.
//!
//! What works once is spent, checked and replaced in one transaction, together with its record, so that of two who come at once
//! exactly one succeeds. What is shown a second time revokes its grant (RFC 6749 §4.1.2, RFC 9700 §4.14.2).

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::auth_events::{self, AuthEvent, AuthEventKind, AuthOutcome};
use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::revocations::{self, Revocation};
use crate::writer::{RecordError, Writer};

/// A SHA-256 digest, which is all that is kept of a code or token.
pub type Digest = [u8; 32];

/// What was granted to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its identifier, random.
    pub id: String,
    /// Whose it is: `sub` of its tokens.
    pub subject: String,
    /// The client's identifier.
    pub client: String,
    /// What the client called itself then.
    pub client_name: String,
    /// The one protected resource it is for.
    pub resource: String,
    /// Its scopes, separated by spaces.
    pub scopes: String,
    /// The thumbprint of the key that refresh tokens are bound to (RFC 9449 §5).
    pub jkt: Option<String>,
    /// When it was given, in Unix milliseconds.
    pub created_ms: u64,
    /// When tokens were last issued for it.
    pub used_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

/// An authorization code, as it is kept.
#[derive(Clone, Debug)]
pub struct Code {
    /// Its digest.
    pub digest: Digest,
    /// The redirect URI of its request, byte for byte.
    pub redirect_uri: String,
    /// The code challenge, by S256 (RFC 7636).
    pub challenge: String,
    /// The thumbprint of the key that its tokens are to be bound to (RFC 9449 §10).
    pub jkt: Option<String>,
    /// When it expires.
    pub expires_ms: u64,
}

/// A code, and all that is shown with it.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The digest of the code that is shown.
    pub digest: Digest,
    /// The client that shows it, authenticated.
    pub client: String,
    /// The redirect URI that is repeated.
    pub redirect_uri: String,
    /// The challenge computed from the code verifier that is shown.
    pub challenge: String,
    /// The resource that is named, if one is.
    pub resource: Option<String>,
    /// The thumbprint of the key whose possession was proven, if one was.
    pub jkt: Option<String>,
    /// Whether refresh tokens are bound to that key: those of public clients are.
    pub binds_refresh: bool,
    /// The refresh token to be issued: its digest, and when it expires.
    pub refresh: Option<(Digest, u64)>,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
    /// How long what is revoked could still be believed, in milliseconds.
    pub access_ttl_ms: u64,
    /// The issuer, for the record.
    pub issuer: Box<str>,
    /// The peer's address, for the record.
    pub address: Option<Box<str>>,
}

/// A refresh token, and all that is shown with it.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The digest of the refresh token that is shown.
    pub digest: Digest,
    /// The client that shows it, authenticated.
    pub client: String,
    /// The resource that is named, if one is.
    pub resource: Option<String>,
    /// The scopes that are asked for, each by itself, if any are.
    pub scopes: Option<Vec<String>>,
    /// The thumbprint of the key whose possession was proven, if one was.
    pub jkt: Option<String>,
    /// The refresh token to be issued: its digest, and when it expires.
    pub next: (Digest, u64),
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
    /// How long what is revoked could still be believed, in milliseconds.
    pub access_ttl_ms: u64,
    /// The issuer, for the record.
    pub issuer: Box<str>,
    /// The peer's address, for the record.
    pub address: Option<Box<str>>,
}

/// What became of a code or refresh token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is spent, and tokens may be issued for this grant.
    Given(Box<Grant>),
    /// It is not to be exchanged; a short word says why.
    Refused(&'static str),
    /// It was spent before: its grant is revoked now.
    Reused,
}

/// Grants, with their authorization codes and refresh tokens.
#[derive(Clone, Copy, Debug)]
pub struct Grants<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

impl Grants<'_> {
    /// Keeps a grant with the code that tokens are first issued for, and records both.
    pub async fn add(
        self,
        grant: Grant,
        code: Code,
        events: Vec<AuthEvent>,
    ) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                insert_grant(connection, &grant)?;
                connection
                    .prepare_cached(
                        "INSERT INTO codes (digest, grant_id, redirect_uri, challenge, jkt, \
                         expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![
                        code.digest.as_slice(),
                        grant.id,
                        code.redirect_uri,
                        code.challenge,
                        code.jkt,
                        integer(code.expires_ms),
                    ])?;
                for event in &events {
                    auth_events::insert(connection, event)?;
                }
                Ok(())
            })
            .await
    }

    /// Spends a code, whether or not what is shown with it is right, and puts a refresh token in its place if it is.
    pub async fn redeem(self, redemption: Redemption) -> Result<Taken, RecordError> {
        let taken = self
            .writer
            .run(move |connection| redeem(connection, &redemption))
            .await?;
        self.announced(taken)
    }

    /// Spends a refresh token and puts the next one in its place, if what is shown with it is right.
    pub async fn rotate(self, rotation: Rotation) -> Result<Taken, RecordError> {
        let taken = self
            .writer
            .run(move |connection| rotate(connection, &rotation))
            .await?;
        self.announced(taken)
    }

    fn announced(self, taken: Taken) -> Result<Taken, RecordError> {
        if taken == Taken::Reused {
            self.epoch.announce()?;
        }
        Ok(taken)
    }

    /// Revokes a grant with all its tokens. Tells whether it was in force.
    pub async fn revoke(
        self,
        id: String,
        now_ms: u64,
        access_ttl_ms: u64,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let revoked = self
            .writer
            .run(move |connection| {
                let revoked = revoke(connection, &id, now_ms, access_ttl_ms)?;
                if revoked {
                    auth_events::insert(connection, &event)?;
                }
                Ok(revoked)
            })
            .await?;
        if revoked {
            self.epoch.announce()?;
        }
        Ok(revoked)
    }

    /// Revokes every grant of a subject, of a client, or of both together. Tells how many were in force.
    pub async fn revoke_all(
        self,
        subject: Option<String>,
        client: Option<String>,
        now_ms: u64,
        access_ttl_ms: u64,
        event: AuthEvent,
    ) -> Result<usize, RecordError> {
        let revoked = self
            .writer
            .run(move |connection| {
                let ids: Vec<String> = connection
                    .prepare_cached(
                        "SELECT id FROM grants WHERE (?1 IS NULL OR subject = ?1) \
                         AND (?2 IS NULL OR client = ?2) AND revoked_ms IS NULL",
                    )?
                    .query_map(params![subject, client], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                for id in &ids {
                    revoke(connection, id, now_ms, access_ttl_ms)?;
                }
                auth_events::insert(connection, &event)?;
                Ok(ids.len())
            })
            .await?;
        self.epoch.announce()?;
        Ok(revoked)
    }

    /// The grants of a subject, or all, that are in force; the latest first.
    pub async fn list(self, subject: Option<String>, now_ms: u64) -> Result<Vec<Grant>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM grants WHERE (?1 IS NULL OR subject = ?1) \
                     AND revoked_ms IS NULL AND expires_ms > ?2 ORDER BY created_ms DESC LIMIT 10000",
                )?;
                let rows = statement.query_map(params![subject, integer(now_ms)], read_grant)?;
                rows.collect()
            })
            .await
    }

    /// The grant of this identifier.
    pub async fn find(self, id: String) -> Result<Option<Grant>, ReadError> {
        self.readers
            .run(move |connection| find(connection, &id))
            .await
    }

    /// The grant of a refresh token, and when the token expires, if it has neither been spent nor revoked nor expired.
    pub async fn of_refresh_token(
        self,
        digest: Digest,
        now_ms: u64,
    ) -> Result<Option<(Grant, u64)>, ReadError> {
        self.readers
            .run(move |connection| {
                let found = connection
                    .prepare_cached(
                        "SELECT grant_id, expires_ms FROM refresh_tokens \
                         WHERE digest = ?1 AND spent_ms IS NULL AND expires_ms > ?2",
                    )?
                    .query_row(params![digest.as_slice(), integer(now_ms)], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                    })
                    .optional()?;
                let Some((id, expires_ms)) = found else {
                    return Ok(None);
                };
                let grant = find(connection, &id)?
                    .filter(|it| it.revoked_ms.is_none() && it.expires_ms > now_ms);
                Ok(grant.map(|grant| (grant, expires_ms.unsigned_abs())))
            })
            .await
    }

    /// The grant that a refresh token belongs to, whatever has become of the token.
    pub async fn of_any_refresh_token(self, digest: Digest) -> Result<Option<Grant>, ReadError> {
        self.readers
            .run(move |connection| {
                let id: Option<String> = connection
                    .prepare_cached("SELECT grant_id FROM refresh_tokens WHERE digest = ?1")?
                    .query_row([digest.as_slice()], |row| row.get(0))
                    .optional()?;
                match id {
                    Some(id) => find(connection, &id),
                    None => Ok(None),
                }
            })
            .await
    }

    /// Forgets what can no longer be used, nor be used a second time: codes and grants that expired before `now_ms`, and grants
    /// whose code was never redeemed. Tells how many grants.
    pub async fn forget(self, now_ms: u64) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                let now = integer(now_ms);
                connection.execute("DELETE FROM refresh_tokens WHERE expires_ms < ?1", [now])?;
                let gone = connection.execute(
                    "DELETE FROM grants WHERE expires_ms < ?1 OR EXISTS (SELECT 1 FROM codes \
                     WHERE grant_id = grants.id AND spent_ms IS NULL AND codes.expires_ms < ?1)",
                    [now],
                )?;
                connection.execute(
                    "DELETE FROM codes WHERE NOT EXISTS \
                     (SELECT 1 FROM grants WHERE grants.id = grant_id)",
                    [],
                )?;
                connection.execute(
                    "DELETE FROM refresh_tokens WHERE NOT EXISTS \
                     (SELECT 1 FROM grants WHERE grants.id = grant_id)",
                    [],
                )?;
                Ok(gone)
            })
            .await
    }
}

fn redeem(connection: &Connection, shown: &Redemption) -> rusqlite::Result<Taken> {
    struct Kept {
        grant: String,
        redirect_uri: String,
        challenge: String,
        jkt: Option<String>,
        expires_ms: u64,
        spent: bool,
    }
    let kept = connection
        .prepare_cached(
            "SELECT grant_id, redirect_uri, challenge, jkt, expires_ms, spent_ms IS NOT NULL \
             FROM codes WHERE digest = ?1",
        )?
        .query_row([shown.digest.as_slice()], |row| {
            Ok(Kept {
                grant: row.get(0)?,
                redirect_uri: row.get(1)?,
                challenge: row.get(2)?,
                jkt: row.get(3)?,
                expires_ms: row.get::<_, i64>(4)?.unsigned_abs(),
                spent: row.get(5)?,
            })
        })
        .optional()?;
    let Some(kept) = kept else {
        return Ok(Taken::Refused("unknown_code"));
    };
    let Some(mut grant) = find(connection, &kept.grant)? else {
        return Ok(Taken::Refused("unknown_code"));
    };
    if kept.spent {
        let (now_ms, ttl_ms) = (shown.now_ms, shown.access_ttl_ms);
        reused(
            connection,
            &grant,
            now_ms,
            ttl_ms,
            "code",
            &shown.issuer,
            shown.address.as_deref(),
        )?;
        return Ok(Taken::Reused);
    }
    connection
        .prepare_cached("UPDATE codes SET spent_ms = ?2 WHERE digest = ?1")?
        .execute(params![shown.digest.as_slice(), integer(shown.now_ms)])?;
    let wrong = if kept.expires_ms <= shown.now_ms {
        Some("expired")
    } else if grant.client != shown.client {
        Some("other_client")
    } else if kept.redirect_uri != shown.redirect_uri {
        Some("other_redirect_uri")
    } else if kept.challenge != shown.challenge {
        Some("code_verifier")
    } else if kept.jkt.is_some() && kept.jkt != shown.jkt {
        Some("other_key")
    } else {
        unusable(&grant, shown.resource.as_deref(), shown.now_ms)
    };
    if let Some(why) = wrong {
        // Nothing was issued for the grant and nothing will be.
        revoke(connection, &grant.id, shown.now_ms, shown.access_ttl_ms)?;
        return Ok(Taken::Refused(why));
    }
    if shown.binds_refresh {
        grant.jkt.clone_from(&shown.jkt);
    }
    grant.used_ms = shown.now_ms;
    if shown.refresh.is_none() {
        // It ends with its only token.
        let end_ms = shown.now_ms.saturating_add(shown.access_ttl_ms);
        grant.expires_ms = grant.expires_ms.min(end_ms);
    }
    connection
        .prepare_cached("UPDATE grants SET jkt = ?2, used_ms = ?3, expires_ms = ?4 WHERE id = ?1")?
        .execute(params![
            grant.id,
            grant.jkt,
            integer(grant.used_ms),
            integer(grant.expires_ms)
        ])?;
    if let Some((digest, expires_ms)) = &shown.refresh {
        insert_refresh(connection, &grant, digest, *expires_ms)?;
    }
    let event = event(
        AuthEventKind::Token,
        AuthOutcome::Success,
        &grant,
        shown.now_ms,
        &shown.issuer,
        shown.address.as_deref(),
    );
    auth_events::insert(connection, &event)?;
    Ok(Taken::Given(Box::new(grant)))
}

fn rotate(connection: &Connection, shown: &Rotation) -> rusqlite::Result<Taken> {
    let kept = connection
        .prepare_cached(
            "SELECT grant_id, expires_ms, spent_ms IS NOT NULL FROM refresh_tokens \
             WHERE digest = ?1",
        )?
        .query_row([shown.digest.as_slice()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?.unsigned_abs(),
                row.get::<_, bool>(2)?,
            ))
        })
        .optional()?;
    let Some((grant, expires_ms, spent)) = kept else {
        return Ok(Taken::Refused("unknown_refresh_token"));
    };
    let Some(mut grant) = find(connection, &grant)? else {
        return Ok(Taken::Refused("unknown_refresh_token"));
    };
    if spent {
        let (now_ms, ttl_ms) = (shown.now_ms, shown.access_ttl_ms);
        let address = shown.address.as_deref();
        reused(
            connection,
            &grant,
            now_ms,
            ttl_ms,
            "refresh_token",
            &shown.issuer,
            address,
        )?;
        return Ok(Taken::Reused);
    }
    if grant.client != shown.client {
        return Ok(Taken::Refused("other_client"));
    }
    if expires_ms <= shown.now_ms {
        return Ok(Taken::Refused("expired"));
    }
    if grant.jkt.is_some() && grant.jkt != shown.jkt {
        return Ok(Taken::Refused("other_key"));
    }
    if let Some(why) = unusable(&grant, shown.resource.as_deref(), shown.now_ms) {
        return Ok(Taken::Refused(why));
    }
    if let Some(asked) = &shown.scopes {
        let granted: Vec<&str> = grant.scopes.split(' ').collect();
        if !asked.iter().all(|scope| granted.contains(&scope.as_str())) {
            return Ok(Taken::Refused("wider_scope"));
        }
    }
    connection
        .prepare_cached("UPDATE refresh_tokens SET spent_ms = ?2 WHERE digest = ?1")?
        .execute(params![shown.digest.as_slice(), integer(shown.now_ms)])?;
    grant.used_ms = shown.now_ms;
    connection
        .prepare_cached("UPDATE grants SET used_ms = ?2 WHERE id = ?1")?
        .execute(params![grant.id, integer(grant.used_ms)])?;
    let (digest, expires_ms) = &shown.next;
    insert_refresh(connection, &grant, digest, *expires_ms)?;
    let event = event(
        AuthEventKind::Refresh,
        AuthOutcome::Success,
        &grant,
        shown.now_ms,
        &shown.issuer,
        shown.address.as_deref(),
    );
    auth_events::insert(connection, &event)?;
    Ok(Taken::Given(Box::new(grant)))
}

/// Why no token may be issued for this grant.
fn unusable(grant: &Grant, resource: Option<&str>, now_ms: u64) -> Option<&'static str> {
    if grant.revoked_ms.is_some() {
        Some("revoked")
    } else if grant.expires_ms <= now_ms {
        Some("grant_expired")
    } else if resource.is_some_and(|resource| resource != grant.resource) {
        Some("other_resource")
    } else {
        None
    }
}

/// Revokes the grant of what was shown a second time, and records it.
fn reused(
    connection: &Connection,
    grant: &Grant,
    now_ms: u64,
    access_ttl_ms: u64,
    what: &'static str,
    issuer: &str,
    address: Option<&str>,
) -> rusqlite::Result<()> {
    let reuse = AuthEvent {
        reason: Some(what),
        ..event(
            AuthEventKind::Reuse,
            AuthOutcome::Failure,
            grant,
            now_ms,
            issuer,
            address,
        )
    };
    auth_events::insert(connection, &reuse)?;
    if revoke(connection, &grant.id, now_ms, access_ttl_ms)? {
        let revocation = AuthEvent {
            kind: AuthEventKind::Revocation,
            outcome: AuthOutcome::Success,
            reason: Some("reuse"),
            ..reuse
        };
        auth_events::insert(connection, &revocation)?;
    }
    Ok(())
}

fn event(
    kind: AuthEventKind,
    outcome: AuthOutcome,
    grant: &Grant,
    now_ms: u64,
    issuer: &str,
    address: Option<&str>,
) -> AuthEvent {
    AuthEvent {
        principal: Some(grant.subject.as_str().into()),
        client: Some(grant.client.as_str().into()),
        issuer: Some(issuer.into()),
        resource: Some(grant.resource.as_str().into()),
        scopes: Some(grant.scopes.as_str().into()),
        address: address.map(Into::into),
        correlation: Some(grant.id.as_str().into()),
        ..AuthEvent::new(now_ms, kind, outcome)
    }
}

fn revoke(
    connection: &Connection,
    id: &str,
    now_ms: u64,
    access_ttl_ms: u64,
) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("UPDATE grants SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL")?
        .execute(params![id, integer(now_ms)])?;
    if rows == 0 {
        return Ok(false);
    }
    // A grant never comes back, so that also a token that is being signed at this moment is dead.
    let revocation = Revocation {
        id: format!("grant:{id}"),
        before_ms: u64::MAX,
        until_ms: now_ms.saturating_add(access_ttl_ms),
    };
    revocations::insert(connection, &revocation)?;
    Ok(true)
}

/// Ends the grants of an account (`sub:…`) or client (`client:…`) that is revoked, so that its refresh tokens die with its access
/// tokens and stay so; part of the transaction that revokes.
pub(crate) fn end(connection: &Connection, revocation: &Revocation) -> rusqlite::Result<()> {
    let (select, name) = if let Some(name) = revocation.id.strip_prefix("sub:") {
        (
            "SELECT id FROM grants WHERE subject = ?1 AND created_ms <= ?2 AND revoked_ms IS NULL",
            name,
        )
    } else if let Some(name) = revocation.id.strip_prefix("client:") {
        (
            "SELECT id FROM grants WHERE client = ?1 AND created_ms <= ?2 AND revoked_ms IS NULL",
            name,
        )
    } else {
        return Ok(());
    };
    let ids: Vec<String> = connection
        .prepare_cached(select)?
        .query_map(params![name, integer(revocation.before_ms)], |row| {
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let kept_ms = revocation.until_ms.saturating_sub(revocation.before_ms);
    for id in &ids {
        revoke(connection, id, revocation.before_ms, kept_ms)?;
    }
    Ok(())
}

fn insert_grant(connection: &Connection, grant: &Grant) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO grants (id, subject, client, client_name, resource, scopes, jkt, \
             created_ms, used_ms, expires_ms, revoked_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            grant.id,
            grant.subject,
            grant.client,
            grant.client_name,
            grant.resource,
            grant.scopes,
            grant.jkt,
            integer(grant.created_ms),
            integer(grant.used_ms),
            integer(grant.expires_ms),
            grant.revoked_ms.map(integer),
        ])
        .map(drop)
}

fn insert_refresh(
    connection: &Connection,
    grant: &Grant,
    digest: &Digest,
    expires_ms: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refresh_tokens (digest, grant_id, expires_ms) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            digest.as_slice(),
            grant.id,
            integer(expires_ms.min(grant.expires_ms))
        ])
        .map(drop)
}

fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Grant>> {
    connection
        .prepare_cached("SELECT * FROM grants WHERE id = ?1")?
        .query_row([id], read_grant)
        .optional()
}

fn read_grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let time = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    Ok(Grant {
        id: row.get("id")?,
        subject: row.get("subject")?,
        client: row.get("client")?,
        client_name: row.get("client_name")?,
        resource: row.get("resource")?,
        scopes: row.get("scopes")?,
        jkt: row.get("jkt")?,
        created_ms: time("created_ms")?,
        used_ms: time("used_ms")?,
        expires_ms: time("expires_ms")?,
        revoked_ms: row
            .get::<_, Option<i64>>("revoked_ms")?
            .map(i64::unsigned_abs),
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
