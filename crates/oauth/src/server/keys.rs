//! The keys that sign access tokens: sealed in the store, published before they sign, and kept until the last token they signed
//! has expired.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use portcullis_store::{
    AuthEvent, AuthEventKind, AuthOutcome, ReadError, RecordError, SealedKey, Store,
};
use tokio::sync::watch;
use url::Url;

use crate::jwt::jwk::Jwk;
use crate::jwt::{KeyError, KeyKind, SigningKey};
use crate::secret::NoRandomness;
use crate::server::config::ACCESS_TOKEN_TTL_MAX;
use crate::vault::{Unsealable, Vault};

/// How long a key is published before it signs: longer than verifiers keep a key set.
const LEAD_MS: u64 = 15 * 60_000;

/// How long a key is published after the next one signs: longer than any token lives.
#[expect(
    clippy::cast_possible_truncation,
    reason = "half an hour in milliseconds"
)]
const AFTER_MS: u64 = ACCESS_TOKEN_TTL_MAX.as_millis() as u64 + 5 * 60_000;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The store could not be read.
    #[error("the signing keys could not be read")]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error("a signing key could not be kept")]
    Record(#[from] RecordError),
    /// They were sealed by another key.
    #[error(
        "the signing keys cannot be unsealed; restore the key file, or replace the signing keys"
    )]
    Sealed(#[from] Unsealable),
    /// A key cannot be used or made.
    #[error("a signing key cannot be used")]
    Key(#[from] KeyError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// There is none that signs at this time.
    #[error("no signing key is active; check the clock")]
    None,
}

/// How keys are to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A new key is published now and signs a little later; no token is refused for it.
    Planned,
    /// A key may be known to others: all are replaced at once, and every access token is dead.
    Compromised,
}

/// Changes the signing keys of the gateway at `public_url` from another process: a running gateway uses them from the next
/// request on. `false` when a planned change is under way already.
pub async fn rotate(
    store: Store,
    vault: Arc<Vault>,
    public_url: &Url,
    rotation: Rotation,
    now_ms: u64,
) -> Result<bool, KeysError> {
    let issuer = public_url.origin().ascii_serialization().into();
    let ring = KeyRing::new(store, vault, issuer, Duration::MAX);
    if rotation == Rotation::Planned {
        // Something has to sign until the new key does.
        ring.keep(now_ms).await?;
    }
    // Keys that nobody can unseal any more stand in the way of a planned change alone.
    ring.rotate(rotation, now_ms).await
}

/// A signing key in a list: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its identifier, which tokens name.
    pub kid: String,
    /// When it begins to sign, or began, in Unix milliseconds.
    pub active_ms: u64,
    /// What it does now.
    pub stage: KeyStage,
}

/// What a signing key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStage {
    /// It is published, and signs later.
    Next,
    /// It signs.
    Signing,
    /// It verifies tokens that it signed earlier.
    Verifying,
}

/// The signing keys, the latest first.
pub async fn list(store: &Store, now_ms: u64) -> Result<Vec<KeyEntry>, ReadError> {
    let rows = store.signing_keys().all().await?;
    let mut signing = None;
    let entry = |row: SealedKey| {
        let stage = if row.active_ms > now_ms {
            KeyStage::Next
        } else if signing.replace(()).is_none() {
            KeyStage::Signing
        } else {
            KeyStage::Verifying
        };
        KeyEntry {
            kid: row.kid,
            active_ms: row.active_ms,
            stage,
        }
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// The keys, the latest first.
#[derive(Debug, Default)]
struct Ring {
    epoch: Option<u64>,
    keys: Vec<(SigningKey, u64)>,
}

/// The signing keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeyRing {
    store: Store,
    vault: Arc<Vault>,
    issuer: Box<str>,
    period_ms: u64,
    ring: RwLock<Arc<Ring>>,
    published: watch::Sender<Arc<[Jwk]>>,
}

impl KeyRing {
    pub(crate) async fn open(
        store: Store,
        vault: Arc<Vault>,
        issuer: Box<str>,
        period: Duration,
        now_ms: u64,
    ) -> Result<Self, KeysError> {
        let keys = Self::new(store, vault, issuer, period);
        keys.keep(now_ms).await?;
        Ok(keys)
    }

    /// A ring that has not looked at the store.
    fn new(store: Store, vault: Arc<Vault>, issuer: Box<str>, period: Duration) -> Self {
        let (published, _) = watch::channel(Vec::new().into());
        Self {
            store,
            vault,
            issuer,
            period_ms: u64::try_from(period.as_millis()).unwrap_or(u64::MAX),
            ring: RwLock::default(),
            published,
        }
    }

    /// The public keys that verify tokens: those to come, the one that signs, and those whose tokens may live.
    pub(crate) fn public(&self) -> Arc<[Jwk]> {
        self.published.borrow().clone()
    }

    /// Tells of changes to [`KeyRing::public`].
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<[Jwk]>> {
        self.published.subscribe()
    }

    /// The key that signs now.
    pub(crate) async fn signer(&self, now_ms: u64) -> Result<SigningKey, KeysError> {
        self.refresh().await?;
        let ring = Arc::clone(&self.ring.read());
        let active = ring.keys.iter().find(|(_, active_ms)| *active_ms <= now_ms);
        active.map(|(key, _)| key.clone()).ok_or(KeysError::None)
    }

    /// Takes note of what another process did to the keys.
    pub(crate) async fn refresh(&self) -> Result<(), KeysError> {
        let known = self.ring.read().epoch;
        if known == Some(self.store.epoch()) {
            return Ok(());
        }
        self.load().await
    }

    /// Makes the first key, the next one when it is time, and removes those that are done with.
    pub(crate) async fn keep(&self, now_ms: u64) -> Result<(), KeysError> {
        self.load().await?;
        let ring = Arc::clone(&self.ring.read());
        let Some((_, latest_ms)) = ring.keys.first() else {
            let (key, event) = self.make(now_ms, now_ms, "first")?;
            self.store.signing_keys().add(key, None, event).await?;
            return self.load().await;
        };
        let due_ms = latest_ms
            .saturating_add(self.period_ms)
            .saturating_sub(LEAD_MS);
        if now_ms >= due_ms {
            let (key, event) = self.make(now_ms.saturating_add(LEAD_MS), now_ms, "scheduled")?;
            self.store
                .signing_keys()
                .add(key, Some(*latest_ms), event)
                .await?;
        }
        // A key is done with once the one after it has signed for as long as a token lives.
        let done: Vec<String> = ring
            .keys
            .iter()
            .zip(ring.keys.iter().skip(1))
            .filter(|((_, next_ms), _)| next_ms.saturating_add(AFTER_MS) <= now_ms)
            .map(|(_, (key, _))| key.kid().to_owned())
            .collect();
        if !done.is_empty() {
            let event = self.event(now_ms, "retired", &done.join(" "));
            self.store.signing_keys().retire(done, event).await?;
        }
        self.load().await
    }

    /// Changes keys out of turn. `false` when a planned change is under way already.
    pub(crate) async fn rotate(&self, rotation: Rotation, now_ms: u64) -> Result<bool, KeysError> {
        let changed = match rotation {
            Rotation::Planned => {
                let active_ms = now_ms.saturating_add(LEAD_MS);
                let (key, event) = self.make(active_ms, now_ms, "planned")?;
                self.store
                    .signing_keys()
                    .add(key, Some(now_ms), event)
                    .await?
            }
            Rotation::Compromised => {
                let (key, event) = self.make(now_ms, now_ms, "compromised")?;
                self.store.signing_keys().replace(key, event).await?;
                true
            }
        };
        self.load().await?;
        Ok(changed)
    }

    async fn load(&self) -> Result<(), KeysError> {
        // Read before the keys: what changes meanwhile is noticed next time.
        let epoch = self.store.epoch();
        let mut keys = Vec::new();
        for row in self.store.signing_keys().all().await? {
            let der = self.vault.unseal(&purpose(&row.kid), &row.sealed)?;
            keys.push((SigningKey::from_pkcs8(KeyKind::Es256, &der)?, row.active_ms));
        }
        let public: Arc<[Jwk]> = keys.iter().map(|(key, _)| key.public().clone()).collect();
        *self.ring.write() = Arc::new(Ring {
            epoch: Some(epoch),
            keys,
        });
        self.published.send_if_modified(|known| {
            let changed = **known != *public;
            if changed {
                *known = public;
            }
            changed
        });
        Ok(())
    }

    fn make(
        &self,
        active_ms: u64,
        now_ms: u64,
        reason: &'static str,
    ) -> Result<(SealedKey, AuthEvent), KeysError> {
        let key = SigningKey::generate(KeyKind::Es256)?;
        let sealed = self.vault.seal(&purpose(key.kid()), key.der())?;
        let event = self.event(now_ms, reason, key.kid());
        let sealed = SealedKey {
            kid: key.kid().to_owned(),
            sealed,
            active_ms,
        };
        Ok((sealed, event))
    }

    fn event(&self, now_ms: u64, reason: &'static str, kids: &str) -> AuthEvent {
        AuthEvent {
            reason: Some(reason),
            issuer: Some(self.issuer.clone()),
            correlation: Some(kids.into()),
            ..AuthEvent::new(now_ms, AuthEventKind::KeyRotation, AuthOutcome::Success)
        }
    }
}

fn purpose(kid: &str) -> String {
    format!("signing-key:{kid}")
}
