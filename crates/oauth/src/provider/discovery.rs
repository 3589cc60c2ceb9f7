//! What a provider says of itself, and its keys; kept for an hour, fetched by one at a time.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use portcullis_egress::Egress;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::LoginError;
use super::fetch::{self, FetchError};

/// How long metadata and keys are believed.
const LASTS_MS: u64 = 60 * 60 * 1000;

/// How long after keys were fetched they are fetched again for one that is not among them.
const KEYS_AGAIN_MS: u64 = 60 * 1000;

/// How long after a failure the provider is asked again.
const AGAIN_MS: u64 = 5 * 1000;

/// The most keys that are looked at.
const KEYS_MAX: usize = 64;

/// The parts of a provider's metadata that are used.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    /// It names itself in its answers (RFC 9207 §3).
    pub(super) names_itself: bool,
    /// It wants the client's secret in the body, not in a header.
    pub(super) secret_in_body: bool,
}

/// The metadata and keys of one provider.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    metadata: Option<(Metadata, u64)>,
    keys: Option<(Vec<Jwk>, u64)>,
    failed_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Discovery {
    pub(super) async fn metadata(
        &self,
        egress: &Egress,
        issuer: &str,
        address: &Url,
        now_ms: u64,
    ) -> Result<Metadata, LoginError> {
        // Held while fetching: whoever else needs it waits for the same answer.
        let mut state = self.state.lock().await;
        if let Some((metadata, at)) = &state.metadata
            && now_ms.saturating_sub(*at) < LASTS_MS
        {
            return Ok(metadata.clone());
        }
        state.may_ask(now_ms)?;
        let fetched = fetch_metadata(egress, issuer, address).await;
        state.failed_ms = fetched.is_err().then_some(now_ms);
        let metadata = fetched?;
        state.metadata = Some((metadata.clone(), now_ms));
        Ok(metadata)
    }

    /// The key that a token names, or the only one there is when it names none.
    pub(super) async fn key(
        &self,
        egress: &Egress,
        issuer: &Url,
        address: &Url,
        kid: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<Jwk>, LoginError> {
        let mut state = self.state.lock().await;
        if let Some((keys, at)) = &state.keys {
            let age = now_ms.saturating_sub(*at);
            let found = choose(keys, kid);
            if (found.is_some() && age < LASTS_MS) || age < KEYS_AGAIN_MS {
                return Ok(found);
            }
        }
        state.may_ask(now_ms)?;
        let client = egress.client(fetch::reach(issuer, address));
        let fetched: Result<KeySet, FetchError> = fetch::get(client, address.as_str()).await;
        state.failed_ms = fetched.is_err().then_some(now_ms);
        // A key of a kind that is not known here is another's business.
        let keys: Vec<Jwk> = fetched?
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect();
        let found = choose(&keys, kid);
        state.keys = Some((keys, now_ms));
        Ok(found)
    }
}

impl State {
    fn may_ask(&self, now_ms: u64) -> Result<(), FetchError> {
        let recently = |at: u64| now_ms.saturating_sub(at) < AGAIN_MS;
        if self.failed_ms.is_some_and(recently) {
            return Err(FetchError::Recently);
        }
        Ok(())
    }
}

async fn fetch_metadata(
    egress: &Egress,
    issuer: &str,
    address: &Url,
) -> Result<Metadata, LoginError> {
    let path = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let client = egress.client(fetch::reach(address, address));
    let document: Document = fetch::get(client, &path).await?;
    // Discovery 1.0 §4.3: exactly the same, by every byte.
    if document.issuer != issuer {
        return Err(LoginError::Metadata);
    }
    let endpoint = |text: &str| {
        Url::parse(text)
            .ok()
            .filter(|endpoint| fetch::is_usable(address, endpoint))
            .ok_or(LoginError::Endpoint)
    };
    let methods = &document.token_endpoint_auth_methods_supported;
    let has = |method: &str| methods.iter().any(|one| one == method);
    Ok(Metadata {
        names_itself: document.authorization_response_iss_parameter_supported,
        secret_in_body: has("client_secret_post") && !has("client_secret_basic"),
        authorization_endpoint: endpoint(&document.authorization_endpoint)?,
        token_endpoint: endpoint(&document.token_endpoint)?,
        jwks_uri: endpoint(&document.jwks_uri)?,
    })
}

fn choose(keys: &[Jwk], kid: Option<&str>) -> Option<Jwk> {
    let mut fit = keys.iter().filter(|key| {
        let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        signs && (kid.is_none() || key.common.key_id.as_deref() == kid)
    });
    match (fit.next(), fit.next()) {
        (Some(key), None) => Some(key.clone()),
        // Several of one name, or no name among several: a guess is no proof.
        _ => None,
    }
}
