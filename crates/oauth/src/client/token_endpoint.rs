//! Requests to a token endpoint (RFC 6749 §3.2): proves who the client is, and reads the answer.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use portcullis_egress::Egress;
use serde::{Deserialize, Serialize};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::dpop::{DPOP, Nonces, Proof, ProofError};
use crate::client::fetch::{self, Answer, FetchError, Trust};
use crate::jwt::{SignError, SigningKey};
use crate::scope::Scopes;
use crate::secret::{self, NoRandomness};

/// The longest token that is kept, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How long a client assertion is good, in seconds.
const ASSERTION_SECONDS: u64 = 120;

/// Who asks, and how it proves it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Box<str>,
    pub(crate) proof: Proven,
}

/// A client's proof, with its secret at hand.
#[derive(Clone)]
pub(crate) enum Proven {
    None,
    Basic(Zeroizing<String>),
    Post(Zeroizing<String>),
    Key(Box<SigningKey>),
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic(..)",
            Self::Post(_) => "Post(..)",
            Self::Key(_) => "Key(..)",
        })
    }
}

/// A request to a token endpoint.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) egress: &'a Egress,
    pub(crate) trust: &'a Trust,
    pub(crate) nonces: &'a Nonces,
    pub(crate) endpoint: &'a Url,
    /// The audience of the client's assertion.
    pub(crate) audience: &'a str,
    pub(crate) client: Option<&'a Client>,
    /// The key that the token shall be bound to.
    pub(crate) dpop: Option<&'a SigningKey>,
}

/// How a token is shown to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scheme {
    Bearer,
    #[serde(rename = "DPoP")]
    Dpop,
    /// It is not shown to servers (RFC 8693 §2.2.1, `N_A`).
    None,
}

/// Tokens that were given.
pub(crate) struct Given {
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) scheme: Scheme,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// What was granted, if it was said.
    pub(crate) scopes: Option<Scopes>,
    pub(crate) issued_token_type: Option<Box<str>>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("scheme", &self.scheme)
            .field("expires_ms", &self.expires_ms)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Why no token was given. Nothing of the peer's own words is in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The authorization server said no (RFC 6749 §5.2).
    #[error("the authorization server refused: {0}")]
    Refused(&'static str),
    /// It cannot answer at the moment.
    #[error("the authorization server answered with status {0}")]
    Status(StatusCode),
    /// It answered what is no answer.
    #[error("the authorization server's answer has no usable token")]
    Malformed,
    /// The token is not bound to our key though that was demanded.
    #[error("the authorization server gave a token that is not bound to our key")]
    Unbound,
    /// It did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Our assertion could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Our proof could not be made.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl TokenError {
    /// Whether asking again in the same way cannot help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Malformed | Self::Unbound)
    }

    /// A stable word for records.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(code) => code,
            Self::Status(_) | Self::Fetch(_) => "token_endpoint_unavailable",
            Self::Malformed => "token_malformed",
            Self::Unbound => "token_unbound",
            Self::Sign(_) | Self::Proof(_) | Self::NoRandomness(_) => "token_request_failed",
        }
    }
}

/// The codes that are known (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2, RFC 9449 §5). Another one is not repeated.
const CODES: [&str; 14] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "access_denied",
    "interaction_required",
    "login_required",
    "server_error",
    "temporarily_unavailable",
];

/// A peer's error code, if it is a known one.
pub(crate) fn known_code(code: &str) -> &'static str {
    CODES
        .into_iter()
        .find(|known| *known == code)
        .unwrap_or("other")
}

#[derive(Deserialize)]
struct GivenDocument {
    access_token: Zeroizing<String>,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
    #[serde(default)]
    refresh_token: Option<Zeroizing<String>>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    issued_token_type: Option<Box<str>>,
}

/// Some say it in a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct RefusedDocument {
    error: String,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

impl TokenRequest<'_> {
    /// Asks with these parameters. A nonce that the server wants in the proof is put there, once (RFC 9449 §8).
    pub(crate) async fn send(
        &self,
        parameters: &[(&str, &str)],
        now_ms: u64,
    ) -> Result<Given, TokenError> {
        let mut answer = self.exchange(parameters, now_ms).await?;
        let asked = self.nonces.keep(self.endpoint, &answer.headers);
        if self.dpop.is_some() && asked && refusal(&answer) == Some("use_dpop_nonce") {
            answer = self.exchange(parameters, now_ms).await?;
            self.nonces.keep(self.endpoint, &answer.headers);
        }
        self.read(&answer, now_ms)
    }

    async fn exchange(
        &self,
        parameters: &[(&str, &str)],
        now_ms: u64,
    ) -> Result<Answer, TokenError> {
        let (request, body) = self.compose(parameters, now_ms)?;
        Ok(fetch::send(self.egress, self.trust, self.endpoint, request, body).await?)
    }

    /// The head and the body of a request, with the client's proof in the one or the other.
    fn compose(
        &self,
        parameters: &[(&str, &str)],
        now_ms: u64,
    ) -> Result<(http::request::Builder, Bytes), TokenError> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(parameters);
        let mut request = Request::builder()
            .method(Method::POST)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(client) = self.client {
            match &client.proof {
                Proven::None => {
                    form.append_pair("client_id", &client.id);
                }
                Proven::Post(secret) => {
                    form.append_pair("client_id", &client.id);
                    form.append_pair("client_secret", secret);
                }
                Proven::Basic(secret) => {
                    request = request.header(header::AUTHORIZATION, &*basic(&client.id, secret));
                }
                Proven::Key(key) => {
                    let assertion = self.assertion(&client.id, key, now_ms)?;
                    form.append_pair("client_id", &client.id);
                    form.append_pair(
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    );
                    form.append_pair("client_assertion", &assertion);
                }
            }
        }
        if let Some(key) = self.dpop {
            let nonce = self.nonces.of(self.endpoint);
            let proof = Proof {
                method: &Method::POST,
                url: self.endpoint,
                token: None,
                nonce: nonce.as_deref(),
            };
            request = request.header(DPOP, proof.sign(key, now_ms)?);
        }
        Ok((request, Bytes::from(form.finish())))
    }

    /// RFC 7523 §3; one audience, the issuer, so that no other server can use it.
    fn assertion(&self, id: &str, key: &SigningKey, now_ms: u64) -> Result<String, TokenError> {
        let iat = now_ms / 1000;
        let claims = Assertion {
            iss: id,
            sub: id,
            aud: self.audience,
            jti: secret::base64url(&secret::random::<16>()?),
            iat,
            exp: iat.saturating_add(ASSERTION_SECONDS),
        };
        Ok(key.sign("JWT", &claims)?)
    }

    fn read(&self, answer: &Answer, now_ms: u64) -> Result<Given, TokenError> {
        if answer.status != StatusCode::OK {
            return Err(match refusal(answer) {
                Some(code) => TokenError::Refused(code),
                None => TokenError::Status(answer.status),
            });
        }
        let document: GivenDocument =
            serde_json::from_slice(&answer.body).map_err(|_shape| TokenError::Malformed)?;
        let scheme = if document.token_type.eq_ignore_ascii_case("DPoP") {
            Scheme::Dpop
        } else if document.token_type.eq_ignore_ascii_case("Bearer") {
            Scheme::Bearer
        } else if document.token_type.eq_ignore_ascii_case("N_A") {
            Scheme::None
        } else {
            return Err(TokenError::Malformed);
        };
        if self.dpop.is_some() != (scheme == Scheme::Dpop) {
            return Err(TokenError::Unbound);
        }
        let usable = |token: &Zeroizing<String>| {
            !token.is_empty()
                && token.len() <= TOKEN_BYTES_MAX
                && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !usable(&document.access_token) {
            return Err(TokenError::Malformed);
        }
        let scopes = match document.scope.as_deref() {
            Some(text) => Some(text.parse().map_err(|_invalid| TokenError::Malformed)?),
            None => None,
        };
        Ok(Given {
            access_token: document.access_token,
            scheme,
            expires_ms: document
                .expires_in
                .and_then(milliseconds)
                .map(|it| now_ms.saturating_add(it)),
            refresh_token: document.refresh_token.filter(usable),
            scopes,
            issued_token_type: document.issued_token_type,
        })
    }
}

/// A year is as good as for ever; what is no number of seconds is not known.
fn milliseconds(seconds: Seconds) -> Option<u64> {
    const YEAR: u64 = 366 * 24 * 60 * 60;
    let seconds = match seconds {
        Seconds::Text(text) => text.parse::<u64>().ok()?,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds that were checked"
        )]
        Seconds::Number(number) if (0.0..1e12).contains(&number) => number as u64,
        Seconds::Number(_) => return None,
    };
    Some(seconds.min(YEAR).saturating_mul(1000))
}

/// The code of a refusal.
fn refusal(answer: &Answer) -> Option<&'static str> {
    if !answer.status.is_client_error() {
        return None;
    }
    let document: Option<RefusedDocument> = serde_json::from_slice(&answer.body).ok();
    Some(document.map_or("other", |it| known_code(&it.error)))
}

/// RFC 6749 §2.3.1: both are form-encoded first.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let encode = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret)));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

#[cfg(test)]
mod tests;
