//! Clients register themselves (RFC 7591). Anyone may, so it is bounded, and means nothing by itself: consent comes later.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, OauthClient};
use serde::Serialize;

use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::authenticate::slow_down;
use crate::server::client::{AuthMethod, InvalidMetadata, Metadata, Origin};
use crate::server::clients::REGISTERED_PREFIX;
use crate::server::error::{self, Code, Refusal};
use crate::server::limit::peer_key;
use crate::server::parameters::has_media_type;

/// The largest request, in bytes.
const BYTES_MAX: usize = 16 * 1024;

/// The most clients that registered and were never used.
const UNUSED_MAX: u32 = 10_000;

/// The answer (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct Registered<'a> {
    client_id: &'a str,
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    client_name: &'a str,
    redirect_uris: &'a [String],
    grant_types: Vec<&'static str>,
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
}

impl AuthorizationServer {
    /// Answers the registration endpoint.
    pub(super) async fn register(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        match self.try_register(request, peer, now_ms).await {
            Ok(response) => response,
            Err(refusal) => {
                let event = self.event(
                    now_ms,
                    AuthEventKind::Registration,
                    AuthOutcome::Failure,
                    peer,
                );
                self.store.auth_events().note(AuthEvent {
                    reason: Some(refusal.reason),
                    ..event
                });
                refusal.to_response()
            }
        }
    }

    async fn try_register(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        if !self.config.dynamic_registration {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "registration_off",
                "Clients cannot register here; use a client ID metadata document or ask the operator.",
            ));
        }
        if !self.registrations.admit(&peer_key(peer), now_ms) {
            return Err(slow_down());
        }
        let malformed = |reason, text| Refusal::new(Code::InvalidClientMetadata, reason, text);
        if !has_media_type(request.headers(), "application/json") {
            return Err(malformed(
                "media_type",
                "Send the metadata as application/json.",
            ));
        }
        if request.body().len() > BYTES_MAX {
            return Err(malformed("too_large", "Send at most 16 KiB of metadata."));
        }
        let mut metadata: Metadata =
            serde_json::from_slice(request.body()).map_err(|_malformed| {
                malformed("malformed", "The metadata are not as RFC 7591 has them.")
            })?;
        // The server chooses both.
        metadata.client_id = None;
        metadata.client_secret = None;
        // RFC 7591 §2: `client_secret_basic` when nothing is said.
        let methods = [
            AuthMethod::SecretBasic,
            AuthMethod::SecretPost,
            AuthMethod::None,
            AuthMethod::PrivateKeyJwt,
        ];
        let id = format!(
            "{REGISTERED_PREFIX}{}",
            secret::base64url(&secret::random::<16>()?)
        );
        let client = metadata
            .accept(&id, Origin::Registered, &methods, false)
            .map_err(|error| refused(&error))?;
        let method = client.methods.first().copied().unwrap_or(AuthMethod::None);
        // What was chosen is kept as if it had been said.
        metadata.token_endpoint_auth_method = Some(method.as_str().to_owned());
        metadata.client_name = Some(client.name.to_string());
        let secret = if method.is_secret() {
            Some(secret::generate("pcs_")?)
        } else {
            None
        };
        let row = OauthClient {
            id: id.clone(),
            metadata: serde_json::to_string(&metadata)
                .map_err(|_unwritable| malformed("malformed", "The metadata cannot be kept."))?,
            secret: secret.as_ref().map(|it| secret::sha256(it.as_bytes())),
            created_ms: now_ms,
        };
        let event = AuthEvent {
            client: Some(id.as_str().into()),
            ..self.event(
                now_ms,
                AuthEventKind::Registration,
                AuthOutcome::Success,
                peer,
            )
        };
        if !self
            .store
            .oauth_clients()
            .add(row, UNUSED_MAX, event)
            .await?
        {
            return Err(slow_down());
        }
        let answer = Registered {
            client_id: &id,
            client_id_issued_at: now_ms / 1000,
            client_secret: secret.as_ref().map(|it| it.as_str()),
            client_secret_expires_at: secret.as_ref().map(|_| 0),
            client_name: &client.name,
            redirect_uris: &metadata.redirect_uris,
            grant_types: client.grant_types.iter().map(|it| it.as_str()).collect(),
            response_types: ["code"],
            token_endpoint_auth_method: method.as_str(),
            application_type: metadata.application_type.as_deref(),
            scope: metadata.scope.as_deref(),
            jwks: metadata.jwks.as_ref(),
            jwks_uri: metadata.jwks_uri.as_deref(),
        };
        Ok(error::json(StatusCode::CREATED, &answer))
    }
}

fn refused(error: &InvalidMetadata) -> Refusal {
    let (code, reason, text) = match error {
        InvalidMetadata::RedirectUriCount => (
            Code::InvalidRedirectUri,
            "redirect_uris",
            "Name between 1 and 16 redirect_uris.",
        ),
        InvalidMetadata::RedirectUri(_) => (
            Code::InvalidRedirectUri,
            "redirect_uri",
            "A redirect URI has to be https, http on a loopback address, or of a scheme that is a domain name in reverse; without fragment, user name or `*`.",
        ),
        InvalidMetadata::GrantTypes => (
            Code::InvalidClientMetadata,
            "grant_types",
            "grant_types has to hold authorization_code, and response_types code.",
        ),
        InvalidMetadata::AuthMethod => (
            Code::InvalidClientMetadata,
            "token_endpoint_auth_method",
            "This token_endpoint_auth_method is not supported.",
        ),
        InvalidMetadata::Keys => (
            Code::InvalidClientMetadata,
            "keys",
            "private_key_jwt needs either jwks or an https jwks_uri, with public keys that sign.",
        ),
        InvalidMetadata::Secret => (
            Code::InvalidClientMetadata,
            "client_secret",
            "The server chooses the secret.",
        ),
        InvalidMetadata::Scope => (
            Code::InvalidClientMetadata,
            "scope",
            "The scope is malformed.",
        ),
    };
    Refusal::new(code, reason, text)
}
