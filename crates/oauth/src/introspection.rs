//! Asks an authorization server what a token is (RFC 7662).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use http_body_util::Full;
use moka::sync::Cache;
use portcullis_egress::{Client, Egress, Reach};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::jwks::{FetchError, exchange};
use crate::verifier::{BuildError, Reason, config};

/// How long a token that is unknown is not asked about again.
const UNKNOWN_FOR_MS: u64 = 5_000;

/// How many unknown tokens are remembered.
const UNKNOWN_MAX: u64 = 10_000;

/// How many questions may be open at once.
const OPEN_MAX: usize = 32;

/// The longest that an answer may be believed.
const BELIEVED_SECONDS_MAX: u64 = 300;

/// Somebody to ask.
pub(crate) struct Introspector {
    url: Url,
    authorization: HeaderValue,
    client: Client,
    open: Semaphore,
    /// Until when, by digest.
    unknown: Cache<[u8; 32], u64>,
    believed_ms: u64,
}

impl std::fmt::Debug for Introspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspector")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl Introspector {
    pub(crate) fn build(
        name: &str,
        config: &config::Introspection,
        egress: &Egress,
    ) -> Result<Self, BuildError> {
        let invalid = || BuildError::Introspection(name.to_owned());
        let url = Url::parse(&config.url).map_err(|_invalid| invalid())?;
        if config.believed_seconds > BELIEVED_SECONDS_MAX {
            return Err(invalid());
        }
        let mut authorization =
            HeaderValue::try_from(basic(&config.client_id, &config.client_secret))
                .map_err(|_invalid| invalid())?;
        authorization.set_sensitive(true);
        Ok(Self {
            url,
            authorization,
            client: egress.client(Reach::Configured).clone(),
            open: Semaphore::new(OPEN_MAX),
            unknown: Cache::new(UNKNOWN_MAX),
            believed_ms: config.believed_seconds.saturating_mul(1000),
        })
    }

    /// For how long an answer is believed.
    pub(crate) fn believed_ms(&self) -> u64 {
        self.believed_ms
    }

    /// What is said of an active token. `digest` is that of the token.
    pub(crate) async fn ask(
        &self,
        token: &str,
        digest: [u8; 32],
        now_ms: u64,
    ) -> Result<Value, Reason> {
        if self
            .unknown
            .get(&digest)
            .is_some_and(|until| now_ms < until)
        {
            return Err(Reason::Inactive);
        }
        let answer = self.exchange(token).await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an issuer could not be asked about a token"
            );
            Reason::IssuerUnavailable
        })?;
        let answer: Value = match serde_json::from_slice(&answer) {
            Ok(answer) => answer,
            Err(_malformed) => return Err(Reason::IssuerUnavailable),
        };
        if answer.get("active") == Some(&Value::Bool(true)) {
            return Ok(answer);
        }
        self.unknown
            .insert(digest, now_ms.saturating_add(UNKNOWN_FOR_MS));
        Err(Reason::Inactive)
    }

    async fn exchange(&self, token: &str) -> Result<Bytes, FetchError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let request = Request::post(self.url.as_str())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Full::from(body))
            .map_err(FetchError::Address)?;
        let Ok(_place) = self.open.acquire().await else {
            return Err(FetchError::Timeout);
        };
        Ok(exchange(&self.client, request).await?.body)
    }
}

/// `client_secret_basic` (RFC 6749 §2.3.1): each half is form-encoded first.
fn basic(client_id: &str, client_secret: &str) -> String {
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Zeroizing::new(format!("{}:{}", encode(client_id), encode(client_secret)));
    format!("Basic {}", STANDARD.encode(&*pair))
}
