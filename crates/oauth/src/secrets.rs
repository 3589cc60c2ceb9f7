//! Secrets that an operator gives by name: sealed in the store, resolved when a request needs one, and never shown again.

use std::str::FromStr;
use std::sync::Arc;

use portcullis_store::calls::ReadError;
use portcullis_store::{RecordError, Store};
use zeroize::Zeroizing;

use crate::secret::NoRandomness;
use crate::vault::{Unsealable, Vault};

/// The largest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// How many secrets are kept in memory once they were used.
const CACHED_MAX: u64 = 1024;

/// The name of a secret: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(Box<str>);

/// A text that is no name of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret's name has 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`")]
pub struct InvalidSecretName;

impl SecretName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(InvalidSecretName);
        }
        Ok(Self(text.into()))
    }
}

/// Why a secret could not be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("no secret `{0}` is set; run `portcullis secret set {0}`")]
    Missing(Box<str>),
    /// It is empty, too long, or cannot be in a header.
    #[error("a secret has 1 to 16384 visible characters; give it without line breaks")]
    Invalid,
    /// It was sealed by another key.
    #[error("secret `{name}` cannot be opened; set it anew")]
    Sealed {
        /// Its name.
        name: Box<str>,
        /// Why.
        #[source]
        source: Unsealable,
    },
    /// It could not be sealed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] RecordError),
}

/// Sealed secrets, for commands and for requests.
#[derive(Clone)]
pub struct Secrets {
    store: Store,
    vault: Arc<Vault>,
    /// With the epoch they were read under: what another process sets is used at once.
    cache: moka::sync::Cache<Box<str>, (u64, Arc<Zeroizing<String>>)>,
}

/// A secret in a list: never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// Its name.
    pub name: String,
    /// When it was set, in Unix milliseconds.
    pub updated_ms: u64,
}

impl Secrets {
    /// The secrets in `store`, sealed by `vault`.
    pub fn new(store: Store, vault: Arc<Vault>) -> Self {
        Self {
            store,
            vault,
            cache: moka::sync::Cache::new(CACHED_MAX),
        }
    }

    /// Sets or replaces a secret.
    pub async fn set(
        &self,
        name: &SecretName,
        value: &Zeroizing<String>,
        now_ms: u64,
    ) -> Result<(), SecretError> {
        let visible = |byte: u8| (0x20..=0x7e).contains(&byte);
        if value.is_empty() || value.len() > SECRET_BYTES_MAX || !value.bytes().all(visible) {
            return Err(SecretError::Invalid);
        }
        let sealed = self.vault.seal(&purpose(name.as_str()), value.as_bytes())?;
        self.store
            .secrets()
            .set(name.0.to_string(), sealed, now_ms)
            .await?;
        Ok(())
    }

    /// The names, in order.
    pub async fn list(&self) -> Result<Vec<SecretEntry>, SecretError> {
        let rows = self.store.secrets().list().await?;
        let entry = |row: portcullis_store::SecretRow| SecretEntry {
            name: row.name,
            updated_ms: row.updated_ms,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Removes a secret. Tells whether there was one.
    pub async fn remove(&self, name: &SecretName) -> Result<bool, SecretError> {
        Ok(self.store.secrets().remove(name.0.to_string()).await?)
    }

    /// The value of a secret.
    pub async fn resolve(&self, name: &SecretName) -> Result<Arc<Zeroizing<String>>, SecretError> {
        let epoch = self.store.epoch();
        if let Some((read_under, value)) = self.cache.get(name.as_str())
            && read_under == epoch
        {
            return Ok(value);
        }
        let sealed = self.store.secrets().get(name.0.to_string()).await?;
        let sealed = sealed.ok_or_else(|| SecretError::Missing(name.0.clone()))?;
        let failed = |source| SecretError::Sealed {
            name: name.0.clone(),
            source,
        };
        let plain = self
            .vault
            .unseal(&purpose(name.as_str()), &sealed)
            .map_err(failed)?;
        let text = std::str::from_utf8(&plain).map_err(|_text| failed(Unsealable))?;
        let value = Arc::new(Zeroizing::new(text.to_owned()));
        self.cache
            .insert(name.0.clone(), (epoch, Arc::clone(&value)));
        Ok(value)
    }
}

/// A sealed value opens under its own name only.
fn purpose(name: &str) -> String {
    format!("secret:{name}")
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
