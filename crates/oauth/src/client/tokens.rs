//! The tokens that the gateway holds for servers: sealed in the store, opened in memory, renewed by one at a time.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use portcullis_store::calls::ReadError;
use portcullis_store::{RecordError, ServerTokenKey, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use crate::client::token_endpoint::{Given, Scheme};
use crate::jwt::{KeyKind, SigningKey};
use crate::scope::Scopes;
use crate::secret::NoRandomness;
use crate::vault::{Unsealable, Vault};

/// How many opened tokens are kept in memory.
const CACHED_MAX: u64 = 10_000;

/// Above this many locks, those that nobody holds are dropped.
const LOCKS_MAX: usize = 4096;

/// A token is renewed this long before it expires, or in the last quarter of a shorter life.
const MARGIN_MS: u64 = 30_000;

/// Why tokens could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum TokenStoreError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] RecordError),
    /// It could not be sealed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be put in its form.
    #[error("a token could not be put in the form in which it is kept")]
    Form(#[source] serde_json::Error),
}

/// A token for a server.
pub(crate) struct Token {
    pub(crate) key: ServerTokenKey,
    pub(crate) generation: u64,
    pub(crate) access: Zeroizing<String>,
    pub(crate) refresh: Option<Zeroizing<String>>,
    pub(crate) scheme: Scheme,
    pub(crate) issued_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    /// What was asked for, also if less was granted.
    pub(crate) requested: Scopes,
    pub(crate) granted: Scopes,
    /// The client that it was given to.
    pub(crate) client_id: Box<str>,
    /// The key that it is bound to.
    pub(crate) dpop: Option<SigningKey>,
    /// Where the server said its metadata is, if not in the usual place.
    pub(crate) metadata_url: Option<Box<str>>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_token: Zeroizing<String>,
    refresh_token: Option<Zeroizing<String>>,
    scheme: Scheme,
    issued_ms: u64,
    expires_ms: Option<u64>,
    requested: String,
    granted: String,
    client_id: Box<str>,
    dpop: Option<Zeroizing<String>>,
    metadata_url: Option<Box<str>>,
}

/// A token that was given, before it is kept.
pub(crate) struct NewToken<'a> {
    pub(crate) given: Given,
    pub(crate) requested: Scopes,
    pub(crate) client_id: &'a str,
    pub(crate) dpop: Option<&'a SigningKey>,
    pub(crate) metadata_url: Option<&'a str>,
}

impl Token {
    /// Whether it needs no renewal yet.
    pub(crate) fn is_fresh(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| {
            let life = expires_ms.saturating_sub(self.issued_ms);
            expires_ms.saturating_sub(MARGIN_MS.min(life / 4)) > now_ms
        })
    }

    /// Whether its time is over.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|it| it <= now_ms)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("key", &self.key)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Whose token, for which server.
type Holder = (Box<str>, Box<str>);

/// The tokens that are held.
pub(crate) struct Tokens {
    store: Store,
    vault: Arc<Vault>,
    /// With the epoch they were read under. `None`: there is none.
    cache: moka::sync::Cache<Holder, (u64, Option<Arc<Token>>)>,
    locks: Mutex<HashMap<Holder, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held by whoever changes a principal's token for a server.
pub(crate) type Guard = OwnedMutexGuard<()>;

impl Tokens {
    pub(crate) fn new(store: Store, vault: Arc<Vault>) -> Self {
        Self {
            store,
            vault,
            cache: moka::sync::Cache::new(CACHED_MAX),
            locks: Mutex::default(),
        }
    }

    /// The token in memory, if there is one. [`Tokens::load`] looks further.
    pub(crate) fn cached(&self, owner: &str, server: &str) -> Option<Arc<Token>> {
        let (read_under, token) = self.cache.get(&(owner.into(), server.into()))?;
        token.filter(|_| read_under == self.store.epoch())
    }

    /// Waits until nobody else changes the token.
    pub(crate) async fn lock(&self, owner: &str, server: &str) -> Guard {
        let holder = (Box::from(owner), Box::from(server));
        let lock = {
            let mut locks = self.locks.lock();
            if locks.len() >= LOCKS_MAX {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(holder).or_default())
        };
        lock.lock_owned().await
    }

    /// The token, by whoever holds the lock.
    pub(crate) async fn load(
        &self,
        _guard: &Guard,
        owner: &str,
        server: &str,
    ) -> Result<Option<Arc<Token>>, TokenStoreError> {
        let epoch = self.store.epoch();
        let holder = (Box::from(owner), Box::from(server));
        if let Some((read_under, token)) = self.cache.get(&holder)
            && read_under == epoch
        {
            return Ok(token);
        }
        let rows = self
            .store
            .server_tokens()
            .of(owner.to_owned(), server.to_owned())
            .await?;
        let token = rows.into_iter().next().and_then(|row| {
            match self.open(row.key, row.generation, &row.sealed) {
                Ok(token) => Some(Arc::new(token)),
                Err(error) => {
                    // As good as none: the owner connects anew.
                    tracing::warn!(server, %error, "a token cannot be opened");
                    None
                }
            }
        });
        self.cache.insert(holder, (epoch, token.clone()));
        Ok(token)
    }

    /// Seals and keeps a token, then gives it. What is not on record is not used.
    pub(crate) async fn put(
        &self,
        _guard: &Guard,
        key: ServerTokenKey,
        new: NewToken<'_>,
        now_ms: u64,
    ) -> Result<Arc<Token>, TokenStoreError> {
        let NewToken {
            given, requested, ..
        } = new;
        // RFC 6749 §5.1: what was granted is what was asked for, unless it is said.
        let granted = given.scopes.unwrap_or_else(|| requested.clone());
        let kept = Kept {
            access_token: given.access_token,
            refresh_token: given.refresh_token,
            scheme: given.scheme,
            issued_ms: now_ms,
            expires_ms: given.expires_ms,
            requested: requested.to_string(),
            granted: granted.to_string(),
            client_id: new.client_id.into(),
            dpop: new
                .dpop
                .map(|key| Zeroizing::new(STANDARD.encode(key.der()))),
            metadata_url: new.metadata_url.map(Box::from),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&kept).map_err(TokenStoreError::Form)?);
        let sealed = self.vault.seal(&purpose(&key), &plain)?;
        let epoch = self.store.epoch();
        let generation = self
            .store
            .server_tokens()
            .put(key.clone(), sealed, now_ms)
            .await?;
        let holder = (
            Box::from(key.principal.as_str()),
            Box::from(key.server.as_str()),
        );
        let token = Arc::new(Token {
            key,
            generation,
            access: kept.access_token,
            refresh: kept.refresh_token,
            scheme: kept.scheme,
            issued_ms: kept.issued_ms,
            expires_ms: kept.expires_ms,
            requested,
            granted,
            client_id: kept.client_id,
            dpop: new.dpop.cloned(),
            metadata_url: kept.metadata_url,
        });
        self.cache.insert(holder, (epoch, Some(Arc::clone(&token))));
        Ok(token)
    }

    /// Drops a token that is good for nothing any more.
    pub(crate) async fn remove(&self, _guard: &Guard, token: &Token) -> Result<(), RecordError> {
        let epoch = self.store.epoch();
        self.store
            .server_tokens()
            .remove(token.key.clone(), token.generation)
            .await?;
        let holder = (
            Box::from(token.key.principal.as_str()),
            Box::from(token.key.server.as_str()),
        );
        self.cache.insert(holder, (epoch, None));
        Ok(())
    }

    fn open(
        &self,
        key: ServerTokenKey,
        generation: u64,
        sealed: &[u8],
    ) -> Result<Token, Unsealable> {
        let plain = self.vault.unseal(&purpose(&key), sealed)?;
        let kept: Kept = serde_json::from_slice(&plain).map_err(|_shape| Unsealable)?;
        let dpop = match &kept.dpop {
            None => None,
            Some(text) => {
                let der = STANDARD
                    .decode(text.as_bytes())
                    .map_err(|_text| Unsealable)?;
                let der = Zeroizing::new(der);
                let key = SigningKey::from_pkcs8(KeyKind::Es256, &der);
                Some(key.map_err(|_key| Unsealable)?)
            }
        };
        Ok(Token {
            key,
            generation,
            access: kept.access_token,
            refresh: kept.refresh_token,
            scheme: kept.scheme,
            issued_ms: kept.issued_ms,
            expires_ms: kept.expires_ms,
            requested: kept.requested.parse().map_err(|_scopes| Unsealable)?,
            granted: kept.granted.parse().map_err(|_scopes| Unsealable)?,
            client_id: kept.client_id,
            dpop,
            metadata_url: kept.metadata_url,
        })
    }
}

/// A token opens in its own row only. JSON keeps the parts apart, whatever is in them.
fn purpose(key: &ServerTokenKey) -> String {
    let parts = [&key.principal, &key.server, &key.issuer, &key.resource];
    format!("server-token:{}", serde_json::json!(parts))
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
