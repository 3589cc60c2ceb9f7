//! Proofs of possession (RFC 9449): a client shows with each request that it holds the key that its token is bound to.
//!
//! A [`Checker`] remembers the proofs that it has seen, so that each is good once, and hands out nonces. Both live in memory:
//! after a restart proofs of the last minute could be shown again, unless nonces are required, whose key is new as well.

mod nonce;
mod replay;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jsonwebtoken::jwk::{AlgorithmParameters, ThumbprintHash};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::jwt::{self, Algorithm, Distrust, jwk::Jwk};
use crate::secret::{self, NoRandomness};

/// The header that a proof comes in.
pub const PROOF_HEADER: HeaderName = HeaderName::from_static("dpop");

/// The header that a nonce goes out in (RFC 9449 §8.1).
pub const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");

/// How far a proof's time may be from ours.
const AGE_MAX_MS: u64 = 60_000;

/// The longest `jti` that is read, in bytes.
const ID_BYTES_MAX: usize = 256;

/// The largest proof that is read, in bytes.
const PROOF_BYTES_MAX: usize = 8 * 1024;

/// What proofs may be signed with.
const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::PS256,
];

/// The names of the algorithms that proofs may be signed with, for metadata and challenges.
pub const ALGORITHM_NAMES: [&str; 5] = ["ES256", "ES384", "EdDSA", "RS256", "PS256"];

/// Whether access tokens are bound to keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Never: a token that is bound to a key is refused, since nothing shows who holds the key.
    Off,
    /// If the token says so.
    #[default]
    Accepted,
    /// Always: a token that is not bound to a key is refused, and so is an API key.
    Required,
}

/// Whether a proof has to hold a nonce of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoncePolicy {
    /// Any nonce, or none.
    Ignored,
    /// One that was handed out within the last minutes.
    Required,
}

/// A proof, and what it has to be for.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// The proof as it came.
    pub jwt: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The request's address, without query and fragment, as the client knows it.
    pub uri: &'a str,
    /// The access token that came with it; `None` at the token endpoint.
    pub token: Option<&'a str>,
    /// The key that the token is bound to, as a thumbprint (RFC 7638); `None` where the proof chooses the key.
    pub thumbprint: Option<&'a str>,
}

/// Why a proof is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DpopError {
    /// Not exactly one `DPoP` header.
    #[error("the request needs exactly one proof")]
    Count,
    /// Not a proof, or without what a proof has.
    #[error("the proof is malformed")]
    Malformed,
    /// Its key is no public key, or holds more than that.
    #[error("the proof's key is not a public key")]
    Key,
    /// Its signature is not by its key, or by an algorithm that is not allowed.
    #[error("the proof's signature is not valid")]
    Signature,
    /// It is for another method or address.
    #[error("the proof is for another request")]
    Request,
    /// It is too old, or from the future.
    #[error("the proof is not of this minute")]
    Time,
    /// It is for another access token.
    #[error("the proof is for another access token")]
    Token,
    /// It is by another key than the token is bound to.
    #[error("the proof is by another key")]
    OtherKey,
    /// It was shown before.
    #[error("the proof was used before")]
    Replay,
    /// It lacks a nonce, or has one that is not ours or too old.
    #[error("the proof has to hold the nonce given")]
    UseNonce,
    /// So many proofs came within minutes that no more can be remembered.
    #[error("too many proofs at this time")]
    Busy,
}

impl DpopError {
    /// A stable word for the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "dpop_count",
            Self::Malformed => "dpop_malformed",
            Self::Key => "dpop_key",
            Self::Signature => "dpop_signature",
            Self::Request => "dpop_request",
            Self::Time => "dpop_time",
            Self::Token => "dpop_token",
            Self::OtherKey => "dpop_other_key",
            Self::Replay => "dpop_replay",
            Self::UseNonce => "dpop_nonce",
            Self::Busy => "dpop_busy",
        }
    }

    /// One sentence for the client.
    pub fn description(self) -> &'static str {
        match self {
            Self::Count => "the request needs exactly one proof",
            Self::Malformed => "the proof is malformed",
            Self::Key => "the proof's key is not a public key",
            Self::Signature => "the proof's signature is not valid",
            Self::Request => "the proof is for another request",
            Self::Time => "the proof is not of this minute",
            Self::Token => "the proof is for another access token",
            Self::OtherKey => "the proof is by another key",
            Self::Replay => "the proof was used before",
            Self::UseNonce => "the proof has to hold the nonce given",
            Self::Busy => "too many proofs at this time",
        }
    }
}

/// Checks proofs. One for each endpoint where strangers may show some, so that they fill only their own memory.
#[derive(Debug)]
pub struct Checker {
    nonces: nonce::Nonces,
    seen: replay::Seen,
}

/// The head of a proof, for what the library does not keep: a key that is more than public.
#[derive(Deserialize)]
struct Head {
    jwk: HeadKey,
}

#[derive(Deserialize)]
struct HeadKey {
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    ath: Option<String>,
    nonce: Option<String>,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self {
            nonces: nonce::Nonces::new()?,
            seen: replay::Seen::default(),
        })
    }

    /// The thumbprint (RFC 7638) of the key that made the proof, if the proof is good (RFC 9449 §4.3). It is spent then.
    pub fn check(
        &self,
        proof: &Proof<'_>,
        nonce: NoncePolicy,
        now_ms: u64,
    ) -> Result<String, DpopError> {
        let key = public_key(proof.jwt)?;
        let claims: Claims =
            jwt::verify(proof.jwt, &key, &ALGORITHMS, &["dpop+jwt"]).map_err(|distrust| {
                match distrust {
                    Distrust::Signature | Distrust::Algorithm => DpopError::Signature,
                    Distrust::Malformed
                    | Distrust::Type
                    | Distrust::Critical
                    | Distrust::Claims => DpopError::Malformed,
                }
            })?;
        if claims.htm != proof.method.as_str() || !is_same_address(&claims.htu, proof.uri) {
            return Err(DpopError::Request);
        }
        let expected = proof
            .token
            .map(|token| secret::base64url(&secret::sha256(token.as_bytes())));
        if expected.is_some() && claims.ath != expected {
            return Err(DpopError::Token);
        }
        let thumbprint = key
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_unusable| DpopError::Key)?;
        if proof.thumbprint.is_some_and(|bound| bound != thumbprint) {
            return Err(DpopError::OtherKey);
        }
        if claims.jti.is_empty() || claims.jti.len() > ID_BYTES_MAX {
            return Err(DpopError::Malformed);
        }
        if nonce == NoncePolicy::Required {
            let given = claims.nonce.as_deref().ok_or(DpopError::UseNonce)?;
            if !self.nonces.is_ours(given, now_ms) {
                return Err(DpopError::UseNonce);
            }
        }
        let issued = std::time::Duration::try_from_secs_f64(claims.iat)
            .map_err(|_no_time| DpopError::Malformed)?;
        let issued_ms = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
        if issued_ms.abs_diff(now_ms) > AGE_MAX_MS {
            return Err(DpopError::Time);
        }
        // Last, so that only proofs that are good otherwise are remembered.
        self.seen.spend(&thumbprint, &claims.jti, now_ms)?;
        Ok(thumbprint)
    }

    /// The nonce of the moment, for the header [`NONCE_HEADER`]. Good for two to four minutes.
    pub fn nonce(&self, now_ms: u64) -> HeaderValue {
        // INVARIANT: base64url is visible ASCII.
        HeaderValue::try_from(self.nonces.at(now_ms)).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The one proof in the headers (RFC 9449 §4.3, step 1).
pub fn proof_in(headers: &HeaderMap) -> Result<&str, DpopError> {
    let mut values = headers.get_all(PROOF_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(DpopError::Count);
    };
    value.to_str().map_err(|_not_ascii| DpopError::Malformed)
}

fn public_key(proof: &str) -> Result<Jwk, DpopError> {
    if proof.len() > PROOF_BYTES_MAX {
        return Err(DpopError::Malformed);
    }
    let header = jwt::peek(proof).map_err(|_malformed| DpopError::Malformed)?;
    let key = header.jwk.ok_or(DpopError::Key)?;
    let head = proof.split('.').next().unwrap_or_default();
    let head = URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_malformed| DpopError::Malformed)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_malformed| DpopError::Key)?;
    let private = [
        head.jwk.d,
        head.jwk.p,
        head.jwk.q,
        head.jwk.dp,
        head.jwk.dq,
        head.jwk.qi,
        head.jwk.oth,
        head.jwk.k,
    ];
    if private.iter().any(Option::is_some) {
        return Err(DpopError::Key);
    }
    match key.algorithm {
        AlgorithmParameters::EllipticCurve(_)
        | AlgorithmParameters::RSA(_)
        | AlgorithmParameters::OctetKeyPair(_) => Ok(key),
        _ => Err(DpopError::Key),
    }
}

/// Compares addresses after the normalisation of RFC 3986 §6.2.2 and §6.2.3, without query and fragment.
fn is_same_address(claimed: &str, ours: &str) -> bool {
    let bare = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    match (bare(claimed), bare(ours)) {
        (Some(claimed), Some(ours)) => claimed == ours,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
