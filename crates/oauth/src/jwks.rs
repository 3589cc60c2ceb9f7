//! The keys of an issuer (RFC 7517).

mod discovery;
mod fetch;
mod source;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;

pub(crate) use fetch::{FetchError, exchange};
pub(crate) use source::{KeySource, Location};

/// The most keys of one issuer that are looked at.
const KEYS_MAX: usize = 64;

/// Keys that can verify signatures.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// The usable ones of `keys`: public keys for signatures, of a kind that is known.
    pub(crate) fn new(keys: impl IntoIterator<Item = Jwk>) -> Self {
        let keys = keys.into_iter().filter(is_usable).take(KEYS_MAX).collect();
        Self { keys }
    }

    /// Reads a set. Keys that cannot be read are passed over, as RFC 7517 §5 wants.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(bytes)?;
        let keys = document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self::new(keys))
    }

    /// The keys that may have made a token whose head names `kid`. A key without a name counts only when it is the only one, and
    /// a token that names none is good only then.
    pub(crate) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &Jwk> {
        let alone = self.keys.len() == 1;
        self.keys
            .iter()
            .filter(move |key| match (key.common.key_id.as_deref(), kid) {
                (Some(name), Some(kid)) => name == kid,
                (None, _) | (_, None) => alone,
            })
    }

    /// Whether there is a candidate.
    pub(crate) fn has(&self, kid: Option<&str>) -> bool {
        self.candidates(kid).next().is_some()
    }
}

fn is_usable(key: &Jwk) -> bool {
    let for_signatures = match &key.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
    };
    let verifies = key
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let known = match &key.algorithm {
        AlgorithmParameters::EllipticCurve(key) => {
            matches!(key.curve, EllipticCurve::P256 | EllipticCurve::P384)
        }
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
        AlgorithmParameters::RSA(_) => true,
        // `oct` is a shared secret, which an issuer does not publish; anything else is unknown.
        _ => false,
    };
    for_signatures && verifies && known
}

#[cfg(test)]
mod tests;
