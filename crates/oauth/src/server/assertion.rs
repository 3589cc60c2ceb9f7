//! Assertions: JWTs by which a client proves who it is (RFC 7523 §3), or an issuer vouches for a subject.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::jwt::jwk::Jwk;
use crate::jwt::{self, Algorithm, Distrust};
use crate::server::remote_keys::choose;

/// The longest time that an assertion may be valid from now on, in seconds.
pub(crate) const LIFE_MAX: u64 = 600;

/// How far clocks may differ, in seconds.
pub(crate) const LEEWAY: u64 = 30;

/// The algorithms of clients' assertions.
pub(crate) const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::PS256,
];

/// The claims of a client's assertion.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ClientClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    #[serde(deserialize_with = "one_audience")]
    pub(crate) aud: String,
    pub(crate) exp: f64,
    #[serde(default)]
    pub(crate) nbf: Option<f64>,
    #[serde(default)]
    pub(crate) iat: Option<f64>,
    pub(crate) jti: String,
}

/// Times are right: `exp` to come and soon, the others past.
pub(crate) fn check_times(
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    now_ms: u64,
) -> Result<(), &'static str> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in a double"
    )]
    let [now, life, leeway] = [now_ms / 1000, LIFE_MAX, LEEWAY].map(|it| it as f64);
    let past = |time: Option<f64>| time.is_none_or(|time| time <= now + leeway);
    if exp <= now {
        return Err("assertion_expired");
    }
    if exp > now + life + leeway {
        return Err("assertion_too_long");
    }
    if !past(nbf) || !past(iat) {
        return Err("assertion_not_yet");
    }
    Ok(())
}

/// The claims that one of `keys` signed.
pub(crate) fn verify<T: DeserializeOwned + Clone>(
    token: &str,
    keys: &[Jwk],
    algorithms: &[Algorithm],
    types: &[&str],
) -> Result<T, Distrust> {
    let header = jwt::peek(token)?;
    let key = choose(keys, header.kid.as_deref()).ok_or(Distrust::Signature)?;
    jwt::verify(token, key, algorithms, types)
}

/// `aud` as a string, or as an array of one (RFC 7519 §4.1.3): an assertion for several could be used by one of them at another.
pub(crate) fn one_audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Array([String; 1]),
    }
    match Audience::deserialize(deserializer)? {
        Audience::One(text) | Audience::Array([text]) => Ok(text),
    }
}

/// What an assertion says of its subject and issuer, before anything of it is believed: it chooses whose keys to verify with.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    iss: Option<String>,
}

/// The subject that an assertion names, unverified.
pub(crate) fn unverified_subject(token: &str) -> Option<String> {
    said(token)?.sub
}

/// The issuer that an assertion names, unverified.
pub(crate) fn unverified_issuer(token: &str) -> Option<String> {
    said(token)?.iss
}

fn said(token: &str) -> Option<Said> {
    if token.len() > jwt::TOKEN_BYTES_MAX {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}
