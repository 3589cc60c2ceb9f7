//! Introspection (RFC 7662): what a token is, for clients that prove who they are.
//!
//! A client learns of its own tokens; of others' only if the operator lets it. To anybody else a token is merely not active.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome};
use serde::Serialize;

use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::access::Confirmation;
use crate::server::authenticate::invalid_client;
use crate::server::error::{self, Code, Refusal};
use crate::server::token::form;

/// The answer (RFC 7662 §2.2).
#[derive(Default, Serialize)]
struct Answer {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

impl AuthorizationServer {
    /// Answers the introspection endpoint.
    pub(super) async fn introspect(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let kind = AuthEventKind::Introspection;
        match self.try_introspect(request, peer, now_ms).await {
            Ok((client, answer)) => {
                let event = self.event(now_ms, kind, AuthOutcome::Success, peer);
                self.store.auth_events().note(AuthEvent {
                    client: Some(client),
                    principal: answer.sub.as_deref().map(Into::into),
                    correlation: answer.jti.as_deref().map(Into::into),
                    ..event
                });
                error::json(StatusCode::OK, &answer)
            }
            Err(refusal) => {
                let event = self.event(now_ms, kind, AuthOutcome::Failure, peer);
                self.store.auth_events().note(AuthEvent {
                    reason: Some(refusal.reason),
                    ..event
                });
                refusal.to_response()
            }
        }
    }

    async fn try_introspect(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<(Box<str>, Answer), Refusal> {
        let form = form(request)?;
        let client = self
            .authenticate(request.headers(), &form, peer, now_ms)
            .await?;
        // RFC 7662 §2.1: or anybody could try tokens out.
        if client.is_public() {
            return Err(invalid_client("public_client"));
        }
        let token = form
            .get("token")
            .ok_or_else(|| Refusal::new(Code::InvalidRequest, "no_token", "token is missing."))?;
        let answer = if token.starts_with("pcr_") {
            self.refresh_token_answer(token, now_ms).await?
        } else {
            self.access_token_answer(token, now_ms).await?
        };
        let own = answer.client_id.as_deref() == Some(&*client.id);
        let shown = answer.for_client(own || client.introspects);
        Ok((client.id.clone(), shown))
    }

    async fn refresh_token_answer(&self, token: &str, now_ms: u64) -> Result<Answer, Refusal> {
        let digest = secret::sha256(token.as_bytes());
        let found = self.store.grants().of_refresh_token(digest, now_ms).await?;
        Ok(
            found.map_or_else(Answer::default, |(grant, expires_ms)| Answer {
                active: true,
                iss: Some(self.issuer.to_string()),
                sub: Some(grant.subject),
                aud: Some(grant.resource),
                client_id: Some(grant.client),
                scope: Some(grant.scopes),
                exp: Some(expires_ms / 1000),
                ..Answer::default()
            }),
        )
    }

    async fn access_token_answer(&self, token: &str, now_ms: u64) -> Result<Answer, Refusal> {
        let Some(claims) = self.read_access_token(token, now_ms).await else {
            return Ok(Answer::default());
        };
        let mut ids = vec![
            format!("jti:{}", claims.jti),
            format!("client:{}", claims.client_id),
            format!("sub:{}", claims.sub),
        ];
        ids.extend(claims.grant.as_ref().map(|grant| format!("grant:{grant}")));
        let issued_ms = claims.iat.saturating_mul(1000);
        if self.store.revocations().any(ids, issued_ms).await? {
            return Ok(Answer::default());
        }
        Ok(Answer {
            active: true,
            token_type: Some(if claims.cnf.is_some() {
                "DPoP"
            } else {
                "Bearer"
            }),
            iss: Some(claims.iss),
            sub: Some(claims.sub),
            aud: Some(claims.aud),
            client_id: Some(claims.client_id),
            scope: Some(claims.scope),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            jti: Some(claims.jti),
            cnf: claims.cnf,
        })
    }
}

impl Answer {
    fn for_client(self, allowed: bool) -> Self {
        if allowed { self } else { Self::default() }
    }
}
