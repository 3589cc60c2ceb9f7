//! API keys: what a program without a browser shows instead of an access token, as `Authorization: Bearer pck_…`.
//!
//! A key is `pck_ID_SECRET`. The gateway keeps its digest; the key is seen once, when it is made. Every key ends.

use std::sync::Arc;

use portcullis_store::calls::ReadError;
use portcullis_store::{ApiKeyRow, AuthEvent, AuthEventKind, AuthOutcome, RecordError, Store};
use zeroize::Zeroizing;

use crate::identity::{CredentialKind, Identity};
use crate::issuer::{Confirmation, Verified};
use crate::resource::ProtectedResource;
use crate::scope::Scopes;
use crate::secret::{self, NoRandomness};
use crate::verifier::Reason;

/// What every key begins with.
pub const PREFIX: &str = "pck_";

/// How long a key lives when nothing else is asked for: 90 days.
pub const TTL_MS: u64 = 90 * DAY_MS;

/// The longest that a key may live: 365 days.
pub const TTL_MAX_MS: u64 = 365 * DAY_MS;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How old the note of a key's last use may grow before it is written anew.
const TOUCH_AFTER_MS: u64 = 60 * 60 * 1000;

const ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 43;
const NAME_CHARS_MAX: usize = 128;

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// What a person calls it.
    pub name: &'a str,
    /// As whom its holder acts.
    pub subject: &'a str,
    /// What it may be used for; `None`: whatever other checks let through. No scope at all opens nothing that scopes guard.
    pub scopes: Option<Scopes>,
    /// The protected resources that it opens; `None`: all.
    pub resources: Option<&'a [ProtectedResource]>,
    /// How long it lives.
    pub ttl_ms: u64,
}

/// A key that was made.
#[derive(Clone)]
pub struct Minted {
    /// Its public part, by which it is listed and revoked.
    pub id: String,
    /// The key itself. Nobody can show it again.
    pub key: Zeroizing<String>,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted")
            .field("id", &self.id)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// A key that was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// It would live too long, or not at all.
    #[error("an API key lives for at most 365 days; ask for less")]
    Lifetime,
    /// It has no usable name or subject.
    #[error("the name and the subject of an API key have 1 to 128 printable characters")]
    Name,
    /// No key could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be kept.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl NewKey<'_> {
    /// Whether it can be made.
    pub fn check(&self) -> Result<(), MintError> {
        if self.ttl_ms == 0 || self.ttl_ms > TTL_MAX_MS {
            return Err(MintError::Lifetime);
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && text.chars().count() <= NAME_CHARS_MAX
                && !text.chars().any(char::is_control)
        };
        if is_name(self.name) && is_name(self.subject) {
            Ok(())
        } else {
            Err(MintError::Name)
        }
    }
}

/// Makes a key.
pub async fn mint(store: &Store, new: NewKey<'_>, now_ms: u64) -> Result<Minted, MintError> {
    new.check()?;
    // 48 bits in hexadecimal digits: enough to tell keys apart, and without `_`.
    let id = format!("{:012x}", u64::from_be_bytes(secret::random()?) >> 16);
    let key = secret::generate(&format!("{PREFIX}{id}_"))?;
    let expires_ms = now_ms.saturating_add(new.ttl_ms);
    let row = ApiKeyRow {
        id: id.clone(),
        digest: secret::sha256(key.as_bytes()),
        name: new.name.to_owned(),
        subject: new.subject.to_owned(),
        scopes: new.scopes.as_ref().map(ToString::to_string),
        resources: new.resources.map(|resources| {
            let uris: Vec<&str> = resources.iter().map(ProtectedResource::uri).collect();
            uris.join(" ")
        }),
        created_ms: now_ms,
        expires_ms,
        last_used_ms: None,
        revoked_ms: None,
    };
    let event = AuthEvent {
        principal: Some(new.subject.into()),
        scopes: row.scopes.as_deref().map(Into::into),
        resource: row.resources.as_deref().map(Into::into),
        correlation: Some(id.as_str().into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Credential, AuthOutcome::Success)
    };
    store.api_keys().add(row, event).await?;
    Ok(Minted {
        id,
        key,
        expires_ms,
    })
}

/// Revokes a key; the next request that shows it is refused. Tells whether there was one to revoke.
pub async fn revoke(store: &Store, id: &str, now_ms: u64) -> Result<bool, RecordError> {
    let event = AuthEvent {
        correlation: Some(id.into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Revocation, AuthOutcome::Success)
    };
    store.api_keys().revoke(id.to_owned(), now_ms, event).await
}

/// Revokes every key of `subject`. Tells how many there were.
pub async fn revoke_all(store: &Store, subject: &str, now_ms: u64) -> Result<usize, RecordError> {
    let event = AuthEvent {
        principal: Some(subject.into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Revocation, AuthOutcome::Success)
    };
    store
        .api_keys()
        .revoke_subject(subject.to_owned(), now_ms, event)
        .await
}

/// The keys, or those of `subject`, by identifier.
pub async fn list(store: &Store, subject: Option<&str>) -> Result<Vec<ApiKeyRow>, ReadError> {
    store.api_keys().list(subject.map(str::to_owned)).await
}

/// The identifier in a key, if it has the form of one.
pub(crate) fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_CHARS && secret.len() == SECRET_CHARS).then_some(id)
}

/// Whether a key is good for `resource`, and whose it is.
pub(crate) async fn verify(
    store: &Store,
    issuer: &Arc<str>,
    key: &str,
    resource: &ProtectedResource,
    now_ms: u64,
) -> Result<Verified, Reason> {
    let id = id_of(key).ok_or(Reason::Malformed)?;
    let row = live(store, id, now_ms).await?;
    if !secret::equal(&row.digest, &secret::sha256(key.as_bytes())) {
        return Err(Reason::UnknownKey);
    }
    let opens = row
        .resources
        .as_deref()
        .is_none_or(|resources| resources.split(' ').any(|opened| opened == resource.uri()));
    if !opens {
        return Err(Reason::Audience);
    }
    let scopes = row.scopes.as_deref().map(str::parse).transpose();
    let scopes = scopes.map_err(|_invalid| Reason::Claims)?;
    touch(store, &row, now_ms).await;
    Ok(Verified {
        identity: Arc::new(Identity {
            subject: row.subject.into(),
            issuer: Arc::clone(issuer),
            client: None,
            groups: Box::default(),
            scopes,
            kind: CredentialKind::ApiKey,
            token_id: row.id.into(),
            expires_ms: Some(row.expires_ms),
        }),
        confirmation: Confirmation::default(),
        revocable_as: Vec::new(),
        issued_ms: row.created_ms,
        until_ms: row.expires_ms,
    })
}

/// The key with this identifier, if it is neither revoked nor past its end.
pub(crate) async fn live(store: &Store, id: &str, now_ms: u64) -> Result<ApiKeyRow, Reason> {
    let row = store.api_keys().find(id.to_owned()).await?;
    let row = row.ok_or(Reason::UnknownKey)?;
    if row.revoked_ms.is_some() {
        return Err(Reason::Revoked);
    }
    if row.expires_ms <= now_ms {
        return Err(Reason::Expired);
    }
    Ok(row)
}

async fn touch(store: &Store, row: &ApiKeyRow, now_ms: u64) {
    let recent = row
        .last_used_ms
        .is_some_and(|used| used.saturating_add(TOUCH_AFTER_MS) > now_ms);
    if recent {
        return;
    }
    // Whether a key is good does not depend on it.
    if let Err(error) = store.api_keys().touch(row.id.clone(), now_ms).await {
        tracing::warn!(%error, "the use of an API key could not be noted");
    }
}
