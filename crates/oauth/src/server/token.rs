//! The token endpoint (RFC 6749 §3.2): a form in, tokens or a refusal out.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_store::grants::{Redemption, Rotation, Taken};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Grant};

use crate::dpop::{self, DpopError, NoncePolicy, Proof};
use crate::scope::Scopes;
use crate::secret;
use crate::server::access::{Access, Tokens};
use crate::server::client::{Client, GrantType};
use crate::server::error::{self, Code, Refusal};
use crate::server::parameters::Parameters;
use crate::server::{AuthorizationServer, address_of, config, millis, path, pkce};

/// How long what is revoked could still be believed, in milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "half an hour in milliseconds"
)]
pub(crate) const REVOKED_KEPT_MS: u64 =
    config::ACCESS_TOKEN_TTL_MAX.as_millis() as u64 + 5 * 60_000;

/// A request whose client is authenticated.
pub(super) struct Call<'a> {
    pub(super) client: Arc<Client>,
    pub(super) form: &'a Parameters,
    /// The thumbprint of the key whose possession was proven (RFC 9449 §5).
    pub(super) jkt: Option<String>,
    pub(super) peer: Option<IpAddr>,
    pub(super) now_ms: u64,
}

impl AuthorizationServer {
    /// Answers the token endpoint.
    pub(super) async fn token(
        &self,
        request: &Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let form = match form(request) {
            Ok(form) => form,
            Err(refusal) => return self.refuse_token(&refusal, None, peer, now_ms),
        };
        match self.exchange(request, &form, peer, now_ms).await {
            Ok(tokens) => error::json(StatusCode::OK, &tokens),
            Err(refusal) => self.refuse_token(&refusal, form.get("client_id"), peer, now_ms),
        }
    }

    async fn exchange(
        &self,
        request: &Request<Bytes>,
        form: &Parameters,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Tokens, Refusal> {
        let client = self
            .authenticate(request.headers(), form, peer, now_ms)
            .await?;
        let grant_type = form.get("grant_type").ok_or_else(|| {
            Refusal::new(
                Code::InvalidRequest,
                "no_grant_type",
                "grant_type is missing.",
            )
        })?;
        let grant_type = GrantType::from_text(grant_type).ok_or_else(|| {
            Refusal::new(
                Code::UnsupportedGrantType,
                "grant_type",
                "This grant_type is not supported.",
            )
        })?;
        if !client.may(grant_type) {
            return Err(Refusal::new(
                Code::UnauthorizedClient,
                "grant_type_of_client",
                "The client may not use this grant_type.",
            ));
        }
        let call = Call {
            client,
            form,
            jkt: self.proven_key(request, now_ms)?,
            peer,
            now_ms,
        };
        match grant_type {
            GrantType::AuthorizationCode => self.redeem(&call).await,
            GrantType::RefreshToken => self.refresh(&call).await,
            GrantType::ClientCredentials => self.client_credentials(&call).await,
            GrantType::JwtBearer => self.id_jag(&call).await,
        }
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6. The code is spent, whatever comes with it.
    async fn redeem(&self, call: &Call<'_>) -> Result<Tokens, Refusal> {
        let missing = |reason, text| Refusal::new(Code::InvalidRequest, reason, text);
        let code = call
            .form
            .get("code")
            .ok_or_else(|| missing("no_code", "code is missing."))?;
        let redirect_uri = call
            .form
            .get("redirect_uri")
            .ok_or_else(|| missing("no_redirect_uri", "redirect_uri is missing."))?;
        let verifier = call
            .form
            .get("code_verifier")
            .ok_or_else(|| missing("no_code_verifier", "code_verifier is missing."))?;
        let challenge = pkce::challenge_of(verifier).unwrap_or_default();
        let resource = call.form.get("resource");
        let resource = resource.map(|it| self.resource(Some(it))).transpose()?;
        let refresh = if call.client.may(GrantType::RefreshToken) {
            Some(secret::generate("pcr_")?)
        } else {
            None
        };
        let expires_ms = self.refresh_expires_ms(call.now_ms);
        let redemption = Redemption {
            digest: secret::sha256(code.as_bytes()),
            client: call.client.id.to_string(),
            redirect_uri: redirect_uri.to_owned(),
            challenge,
            resource,
            jkt: call.jkt.clone(),
            binds_refresh: call.client.is_public(),
            refresh: refresh
                .as_ref()
                .map(|token| (secret::sha256(token.as_bytes()), expires_ms)),
            now_ms: call.now_ms,
            access_ttl_ms: REVOKED_KEPT_MS,
            issuer: self.issuer.clone(),
            address: address_of(call.peer),
        };
        let grant = given(self.store.grants().redeem(redemption).await?)?;
        let scopes = grant.scopes.clone();
        let mut tokens = self.issue_for(&grant, &scopes, call).await?;
        tokens.refresh_token = refresh.map(|token| token.to_string());
        Ok(tokens)
    }

    /// RFC 6749 §6, with rotation (RFC 9700 §4.14.2).
    async fn refresh(&self, call: &Call<'_>) -> Result<Tokens, Refusal> {
        let shown = call.form.get("refresh_token").ok_or_else(|| {
            Refusal::new(
                Code::InvalidRequest,
                "no_refresh_token",
                "refresh_token is missing.",
            )
        })?;
        let resource = call.form.get("resource");
        let resource = resource.map(|it| self.resource(Some(it))).transpose()?;
        let asked = call.form.get("scope");
        let asked = asked.map(str::parse::<Scopes>).transpose();
        let asked = asked.map_err(|_invalid| {
            Refusal::new(
                Code::InvalidScope,
                "scope_malformed",
                "The scope is malformed.",
            )
        })?;
        let next = secret::generate("pcr_")?;
        let rotation = Rotation {
            digest: secret::sha256(shown.as_bytes()),
            client: call.client.id.to_string(),
            resource,
            scopes: asked
                .as_ref()
                .map(|asked| asked.iter().map(str::to_owned).collect()),
            jkt: call.jkt.clone(),
            next: (
                secret::sha256(next.as_bytes()),
                self.refresh_expires_ms(call.now_ms),
            ),
            now_ms: call.now_ms,
            access_ttl_ms: REVOKED_KEPT_MS,
            issuer: self.issuer.clone(),
            address: address_of(call.peer),
        };
        let grant = given(self.store.grants().rotate(rotation).await?)?;
        let scopes = asked.map_or_else(|| grant.scopes.clone(), |asked| asked.to_string());
        let mut tokens = self.issue_for(&grant, &scopes, call).await?;
        tokens.refresh_token = Some(next.to_string());
        Ok(tokens)
    }

    /// RFC 6749 §4.4. The subject cannot be an account's name, which has no `:` (RFC 9700 §4.15).
    async fn client_credentials(&self, call: &Call<'_>) -> Result<Tokens, Refusal> {
        let resource = self.resource(call.form.get("resource"))?;
        let scopes = self.scopes_for(&call.client, call.form.get("scope"))?;
        let groups = call.client.groups.iter().map(ToString::to_string).collect();
        let subject = format!("client:{}", call.client.id);
        self.issue_by_right(call, &subject, &resource, &scopes, groups)
            .await
    }

    /// Issues a token without a grant, and records it.
    pub(super) async fn issue_by_right(
        &self,
        call: &Call<'_>,
        subject: &str,
        resource: &str,
        scopes: &Scopes,
        groups: Vec<String>,
    ) -> Result<Tokens, Refusal> {
        let access = Access {
            subject,
            client: &call.client.id,
            resource,
            scopes: &scopes.to_string(),
            groups,
            grant: None,
            jkt: call.jkt.as_deref(),
        };
        let tokens = self.issue(access, call.now_ms).await?;
        let event = self.event(
            call.now_ms,
            AuthEventKind::Token,
            AuthOutcome::Success,
            call.peer,
        );
        let event = AuthEvent {
            principal: Some(subject.into()),
            client: Some(call.client.id.clone()),
            resource: Some(resource.into()),
            scopes: Some(tokens.scope.as_str().into()),
            correlation: Some(tokens.jti.as_str().into()),
            ..event
        };
        self.store.auth_events().append(event).await?;
        Ok(tokens)
    }

    /// Issues a token for a grant whose code or refresh token has been spent, and whose issuing is recorded.
    async fn issue_for(
        &self,
        grant: &Grant,
        scopes: &str,
        call: &Call<'_>,
    ) -> Result<Tokens, Refusal> {
        // As the account is now: a grant lives long, and groups change.
        let account = self.store.accounts().find(&grant.subject).await?;
        let account = account.filter(|account| !account.disabled).ok_or_else(|| {
            Refusal::new(
                Code::InvalidGrant,
                "account",
                "The account is gone or disabled.",
            )
        })?;
        let access = Access {
            subject: &grant.subject,
            client: &grant.client,
            resource: &grant.resource,
            scopes,
            groups: account.groups.iter().map(ToString::to_string).collect(),
            grant: Some(&grant.id),
            jkt: call.jkt.as_deref(),
        };
        self.issue(access, call.now_ms).await
    }

    fn refresh_expires_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(millis(self.config.refresh_token_idle_ttl))
    }

    /// The thumbprint of the key that the request proves possession of (RFC 9449 §5).
    fn proven_key(&self, request: &Request<Bytes>, now_ms: u64) -> Result<Option<String>, Refusal> {
        let shown = request.headers().contains_key(dpop::PROOF_HEADER);
        match (self.config.dpop, shown) {
            (dpop::Mode::Off, _) | (dpop::Mode::Accepted, false) => return Ok(None),
            (dpop::Mode::Required, false) => return Err(refuse_proof(DpopError::Count)),
            (dpop::Mode::Accepted | dpop::Mode::Required, true) => {}
        }
        let policy = if self.config.dpop_nonce {
            NoncePolicy::Required
        } else {
            NoncePolicy::Ignored
        };
        let address = self.address(path::TOKEN);
        let checked = dpop::proof_in(request.headers()).and_then(|jwt| {
            let proof = Proof {
                jwt,
                method: request.method(),
                uri: &address,
                token: None,
                thumbprint: None,
            };
            self.proofs.check(&proof, policy, now_ms)
        });
        checked.map(Some).map_err(|error| Refusal {
            nonce: (error == DpopError::UseNonce).then(|| self.proofs.nonce(now_ms)),
            ..refuse_proof(error)
        })
    }

    fn refuse_token(
        &self,
        refusal: &Refusal,
        client: Option<&str>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let event = self.event(now_ms, AuthEventKind::Token, AuthOutcome::Failure, peer);
        self.store.auth_events().note(AuthEvent {
            reason: Some(refusal.reason),
            client: client.map(Into::into),
            ..event
        });
        refusal.to_response()
    }
}

fn refuse_proof(error: DpopError) -> Refusal {
    let code = match error {
        DpopError::UseNonce => Code::UseDpopNonce,
        DpopError::Busy => Code::TemporarilyUnavailable,
        DpopError::Count
        | DpopError::Malformed
        | DpopError::Key
        | DpopError::Signature
        | DpopError::Request
        | DpopError::Time
        | DpopError::Token
        | DpopError::OtherKey
        | DpopError::Replay => Code::InvalidDpopProof,
    };
    Refusal::new(code, error.as_str(), error.description())
}

/// The form of a request to an endpoint for programs. Nothing is read from the query, which ends up in logs (RFC 6749 §2.3.1).
pub(super) fn form(request: &Request<Bytes>) -> Result<Parameters, Refusal> {
    if request.uri().query().is_some() {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "query",
            "Send the parameters in the body only.",
        ));
    }
    Ok(Parameters::from_form(request.headers(), request.body())?)
}

/// The grant of what was shown; or why there is none, in words that tell no more than the caller knows.
fn given(taken: Taken) -> Result<Box<Grant>, Refusal> {
    match taken {
        Taken::Given(grant) => Ok(grant),
        Taken::Reused => Err(Refusal::new(
            Code::InvalidGrant,
            "reused",
            "This was used before; authorize again.",
        )),
        Taken::Refused(reason @ "wider_scope") => Err(Refusal::new(
            Code::InvalidScope,
            reason,
            "The scope goes beyond what was granted.",
        )),
        Taken::Refused(reason @ "other_resource") => Err(Refusal::new(
            Code::InvalidTarget,
            reason,
            "The resource is not the one that was granted.",
        )),
        Taken::Refused(reason) => Err(Refusal::new(
            Code::InvalidGrant,
            reason,
            "This is not valid, or no longer; authorize again.",
        )),
    }
}
