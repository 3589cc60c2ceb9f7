//! Proofs that the gateway holds the key a token is bound to (RFC 9449).

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::jwt::{SignError, SigningKey};
use crate::secret::{self, NoRandomness};

/// The header of a proof.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The longest nonce that is sent back, in bytes.
const NONCE_BYTES_MAX: usize = 512;

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// What a proof is for.
#[derive(Debug)]
pub(crate) struct Proof<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// The token it goes with, if any.
    pub(crate) token: Option<&'a str>,
    /// What the peer asked to have in it (RFC 9449 §8, §9).
    pub(crate) nonce: Option<&'a str>,
}

impl Proof<'_> {
    /// A fresh proof (RFC 9449 §4.2).
    pub(crate) fn sign(&self, key: &SigningKey, now_ms: u64) -> Result<String, ProofError> {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let claims = Claims {
            jti: secret::base64url(&secret::random::<16>()?),
            htm: self.method.as_str(),
            htu: url.as_str(),
            iat: now_ms / 1000,
            ath: self
                .token
                .map(|token| secret::base64url(&secret::sha256(token.as_bytes()))),
            nonce: self.nonce,
        };
        Ok(key.sign_with_key("dpop+jwt", &claims)?)
    }
}

/// The nonces that peers want in the next proof, by origin.
#[derive(Clone, Debug)]
pub(crate) struct Nonces(moka::sync::Cache<String, Box<str>>);

impl Nonces {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(1024))
    }

    pub(crate) fn of(&self, url: &Url) -> Option<Box<str>> {
        self.0.get(&url.origin().ascii_serialization())
    }

    /// Keeps the nonce of an answer by `url`. Tells whether there was one: whoever was asked for it can
    /// try again, also if another request has kept it a moment before.
    pub(crate) fn keep(&self, url: &Url, headers: &HeaderMap) -> bool {
        let nonce = headers
            .get(NONCE)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .filter(|nonce| !nonce.is_empty() && nonce.len() <= NONCE_BYTES_MAX);
        let Some(nonce) = nonce else { return false };
        self.0
            .insert(url.origin().ascii_serialization(), nonce.into());
        true
    }
}

#[cfg(test)]
mod tests;
