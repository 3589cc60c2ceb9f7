//! Revocation by clients (RFC 7009): a refresh token ends its grant, an access token itself.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Revocation};

use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::error::{self, Code, Refusal};
use crate::server::token::{REVOKED_KEPT_MS, form};

impl AuthorizationServer {
    /// Answers the revocation endpoint. What is unknown, or another client's, is answered as what was revoked (RFC 7009 §2.2).
    pub(super) async fn revoke(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        match self.try_revoke(request, peer, now_ms).await {
            Ok(()) => error::empty(StatusCode::OK),
            Err(refusal) => {
                let kind = AuthEventKind::Revocation;
                let event = self.event(now_ms, kind, AuthOutcome::Failure, peer);
                self.store.auth_events().note(AuthEvent {
                    reason: Some(refusal.reason),
                    ..event
                });
                refusal.to_response()
            }
        }
    }

    async fn try_revoke(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let form = form(request)?;
        let client = self
            .authenticate(request.headers(), &form, peer, now_ms)
            .await?;
        let token = form
            .get("token")
            .ok_or_else(|| Refusal::new(Code::InvalidRequest, "no_token", "token is missing."))?;
        let kind = AuthEventKind::Revocation;
        let event = AuthEvent {
            client: Some(client.id.clone()),
            ..self.event(now_ms, kind, AuthOutcome::Success, peer)
        };
        // The hint is not needed: our tokens say what they are.
        if token.starts_with("pcr_") {
            let digest = secret::sha256(token.as_bytes());
            let grant = self.store.grants().of_any_refresh_token(digest).await?;
            let Some(grant) = grant.filter(|grant| grant.client == *client.id) else {
                return Ok(());
            };
            let event = AuthEvent {
                reason: Some("by_client"),
                principal: Some(grant.subject.as_str().into()),
                resource: Some(grant.resource.as_str().into()),
                correlation: Some(grant.id.as_str().into()),
                ..event
            };
            self.store
                .grants()
                .revoke(grant.id, now_ms, REVOKED_KEPT_MS, event)
                .await?;
            return Ok(());
        }
        let claims = self.read_access_token(token, now_ms).await;
        let Some(claims) = claims.filter(|claims| claims.client_id == *client.id) else {
            return Ok(());
        };
        let event = AuthEvent {
            reason: Some("by_client"),
            principal: Some(claims.sub.into()),
            resource: Some(claims.aud.into()),
            correlation: Some(claims.jti.as_str().into()),
            ..event
        };
        self.store.auth_events().append(event).await?;
        self.store
            .revocations()
            .add(Revocation {
                id: format!("jti:{}", claims.jti),
                before_ms: u64::MAX,
                until_ms: now_ms.saturating_add(REVOKED_KEPT_MS),
            })
            .await?;
        Ok(())
    }
}
