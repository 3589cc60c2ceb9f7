//! Which client calls (RFC 6749 §2.3, RFC 7523 §2.2): exactly one method, the one the client registered.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use crate::jwt;
use crate::secret;
use crate::server::assertion::{self, ClientClaims};
use crate::server::client::{AuthMethod, Client, Keys};
use crate::server::clients::NoClient;
use crate::server::documents::NoDocument;
use crate::server::error::{Code, Refusal};
use crate::server::limit::peer_key;
use crate::server::parameters::Parameters;
use crate::server::{AuthorizationServer, path};

/// `client_assertion_type` (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request shows to prove which client it is from.
enum Shown {
    Nothing,
    Secret(AuthMethod, Zeroizing<String>),
    Assertion(Zeroizing<String>),
}

impl AuthorizationServer {
    /// The client that a request is from.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Parameters,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Arc<Client>, Refusal> {
        let (client_id, shown) = shown(headers, form)?;
        let key = format!("{} {client_id}", peer_key(peer));
        if self.failures.is_exhausted(&key, now_ms) {
            return Err(slow_down());
        }
        let checked = self.check(&client_id, shown, peer, now_ms).await;
        if matches!(&checked, Err(refusal) if refusal.code == Code::InvalidClient) {
            self.failures.count(&key, now_ms);
        }
        checked
    }

    async fn check(
        &self,
        client_id: &str,
        shown: Shown,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Arc<Client>, Refusal> {
        let client = match self.clients.find(client_id, peer, now_ms).await {
            Ok(client) => client,
            Err(NoClient::Document(NoDocument::Busy)) => return Err(slow_down()),
            Err(NoClient::Read(error)) => return Err(error.into()),
            Err(error) => return Err(invalid_client(error.reason())),
        };
        match shown {
            Shown::Nothing if client.methods.contains(&AuthMethod::None) => {}
            Shown::Nothing => return Err(invalid_client("no_client_authentication")),
            Shown::Secret(method, shown) => {
                if !client.methods.contains(&method) {
                    return Err(invalid_client("client_authentication_method"));
                }
                let shown = secret::sha256(shown.as_bytes());
                let right = client
                    .secret
                    .is_some_and(|digest| secret::equal(&digest, &shown));
                if !right {
                    return Err(invalid_client("client_secret"));
                }
            }
            Shown::Assertion(token) => {
                if !client.methods.contains(&AuthMethod::PrivateKeyJwt) {
                    return Err(invalid_client("client_authentication_method"));
                }
                self.check_assertion(&client, &token, now_ms).await?;
            }
        }
        Ok(client)
    }

    /// RFC 7523 §3; the audience is the issuer or the token endpoint, exactly and alone.
    async fn check_assertion(
        &self,
        client: &Client,
        token: &str,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let kid = match jwt::peek(token) {
            Ok(header) => header.kid,
            Err(_malformed) => return Err(invalid_client("assertion_malformed")),
        };
        let keys = match &client.keys {
            Keys::None => return Err(invalid_client("client_keys")),
            Keys::Fixed(keys) => keys.as_slice().into(),
            Keys::At(url, reach) => {
                self.remote_keys
                    .get(url, *reach, kid.as_deref(), now_ms)
                    .await
            }
        };
        let types = ["jwt", "client-authentication+jwt"];
        let claims: ClientClaims = match assertion::verify(
            token,
            &keys,
            &assertion::ALGORITHMS,
            &types,
        ) {
            Ok(claims) => claims,
            Err(distrust) => {
                tracing::info!(client = &*client.id, %distrust, "a client's assertion is refused");
                return Err(invalid_client("assertion_distrusted"));
            }
        };
        if claims.iss != *client.id || claims.sub != *client.id {
            return Err(invalid_client("assertion_client"));
        }
        if claims.aud != *self.issuer && claims.aud != self.address(path::TOKEN) {
            return Err(invalid_client("assertion_audience"));
        }
        assertion::check_times(claims.exp, claims.nbf, claims.iat, now_ms)
            .map_err(invalid_client)?;
        // By digest, since a client may choose as long an identifier as it likes.
        let digest = secret::sha256(claims.jti.as_bytes());
        let id = format!("client:{} {}", client.id, secret::base64url(&digest));
        let until_ms = now_ms.saturating_add((assertion::LIFE_MAX + assertion::LEEWAY) * 1000);
        if claims.jti.is_empty() || !self.store.spent().take(id, until_ms).await? {
            return Err(invalid_client("assertion_replay"));
        }
        Ok(())
    }
}

/// What a request shows. More than one method is none (RFC 6749 §2.3).
fn shown(headers: &HeaderMap, form: &Parameters) -> Result<(String, Shown), Refusal> {
    let malformed = |reason, text| Refusal::new(Code::InvalidRequest, reason, text);
    let mut basic = None;
    for value in headers.get_all(AUTHORIZATION) {
        if basic.is_some() {
            return Err(malformed(
                "client_authentication_twice",
                "Send one Authorization header.",
            ));
        }
        basic = Some(
            read_basic(value.as_bytes())
                .ok_or_else(|| invalid_client("client_authentication_malformed"))?,
        );
    }
    let body_secret = form.get("client_secret");
    let assertion = form.get("client_assertion");
    let count = usize::from(basic.is_some())
        + usize::from(body_secret.is_some())
        + usize::from(assertion.is_some());
    if count > 1 {
        return Err(malformed(
            "client_authentication_twice",
            "Authenticate by one method only.",
        ));
    }
    let named = form.get("client_id");
    let named_or_refused = || {
        named
            .map(str::to_owned)
            .ok_or_else(|| invalid_client("no_client"))
    };
    if let Some((id, secret)) = basic {
        if named.is_some_and(|named| named != id) {
            return Err(malformed(
                "client_id_differs",
                "client_id names another client than the Authorization header.",
            ));
        }
        return Ok((id, Shown::Secret(AuthMethod::SecretBasic, secret)));
    }
    if let Some(secret) = body_secret {
        let secret = Zeroizing::new(secret.to_owned());
        return Ok((
            named_or_refused()?,
            Shown::Secret(AuthMethod::SecretPost, secret),
        ));
    }
    let Some(token) = assertion else {
        return Ok((named_or_refused()?, Shown::Nothing));
    };
    if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(malformed(
            "client_assertion_type",
            "client_assertion_type has to be the one of RFC 7523.",
        ));
    }
    // RFC 7521 §4.2: without client_id, the assertion's subject names the client; what it says is verified afterwards.
    let id = match named {
        Some(id) => id.to_owned(),
        None => assertion::unverified_subject(token)
            .ok_or_else(|| invalid_client("assertion_malformed"))?,
    };
    Ok((id, Shown::Assertion(Zeroizing::new(token.to_owned()))))
}

/// `Basic`, with both halves form-encoded (RFC 6749 §2.3.1).
fn read_basic(value: &[u8]) -> Option<(String, Zeroizing<String>)> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let plain = Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
    let plain = std::str::from_utf8(&plain).ok()?;
    let (id, secret) = plain.split_once(':')?;
    Some((form_decoded(id), Zeroizing::new(form_decoded(secret))))
}

/// One form-encoded value.
fn form_decoded(text: &str) -> String {
    // `&` and `=` would have been encoded; where they were not, they are meant as they are.
    let text = text.replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

pub(super) fn invalid_client(reason: &'static str) -> Refusal {
    Refusal::new(
        Code::InvalidClient,
        reason,
        "The client is unknown or did not prove who it is.",
    )
}

pub(super) fn slow_down() -> Refusal {
    Refusal::new(
        Code::TemporarilyUnavailable,
        "rate",
        "Too many requests; wait a minute.",
    )
}
