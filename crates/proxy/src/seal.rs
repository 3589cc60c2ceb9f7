//! Opaque tokens that the gateway gives to clients and reads back: sealed with AES-256-GCM
//! (NIST SP 800-38D) under a key of this process, so that they cannot be read, changed, or used by another principal,
//! for another purpose, or after their time.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_pipeline::Timestamp;

/// Seals and opens tokens.
pub(crate) struct Sealer {
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// What a token is bound to: it opens only with the same parts in the same order.
#[derive(Debug)]
pub(crate) struct Binding(Vec<u8>);

impl Binding {
    /// Binds a token to `parts`, the first of which names the token's purpose.
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        let mut bound = Vec::new();
        for part in parts {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part);
        }
        Self(bound)
    }
}

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes; check that `/dev/urandom` can be read")]
pub struct NoRandomness;

impl Sealer {
    /// A sealer with a fresh random key.
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        let mut key = [0; 32];
        random(&mut key)?;
        let key =
            RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_unspecified| NoRandomness)?;
        Ok(Self { key })
    }

    /// Seals `text` until `expires`.
    pub(crate) fn seal(
        &self,
        text: &str,
        binding: &Binding,
        expires: Timestamp,
    ) -> Result<String, NoRandomness> {
        let mut sealed = expires.0.to_be_bytes().to_vec();
        sealed.extend_from_slice(text.as_bytes());
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(&binding.0), &mut sealed)
            .map_err(|_unspecified| NoRandomness)?;
        let mut token = nonce.as_ref().to_vec();
        token.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The text of a token; `None` when it was not sealed here, with this binding, or has expired.
    pub(crate) fn open(&self, token: &str, binding: &Binding, now: Timestamp) -> Option<String> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = token.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(&binding.0), &mut sealed)
            .ok()?;
        let (expires, text) = opened.split_first_chunk::<8>()?;
        if u64::from_be_bytes(*expires) < now.0 {
            return None;
        }
        String::from_utf8(text.to_vec()).ok()
    }
}

/// Fills `bytes` from the system's random generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(bytes).map_err(|_unspecified| NoRandomness)
}

/// An unguessable identifier of 192 bits, in visible ASCII.
pub(crate) fn random_id() -> Result<String, NoRandomness> {
    let mut bytes = [0; 24];
    random(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
