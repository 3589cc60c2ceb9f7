//! Verifies credentials: who sends a request, and whether the credential is for the resource that it asks for.
//!
//! A credential is verified in full the first time it is shown, and its verdict kept by its digest. A kept verdict is believed
//! while the credential lives and the store's epoch stands: once anything is revoked, by whichever process, the next request
//! asks the store again. At least every ten minutes a credential is verified in full again, against its issuer's present keys.
//! A proof of possession is checked on every request.

pub mod config;
mod credential;
mod refused;
mod verdict;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response};
use moka::sync::Cache;
use portcullis_egress::Egress;
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Store};
use serde::Deserialize;
use url::Url;

pub use config::Config;
pub use refused::{Reason, Refused};

use crate::api_key;
use crate::challenge::{Challenge, Problem, Scheme};
use crate::dpop::{self, Checker, Mode, NoncePolicy, Proof};
use crate::identity::{CredentialKind, Identity};
use crate::issuer::{Issuers, Keys, LocalIssuer, Verified, Vouched};
use crate::jwt;
use crate::resource::ProtectedResource;
use crate::scope::Scopes;
use crate::secret::NoRandomness;
use credential::{Shown, digest_of};
use verdict::Verdict;

/// How many verdicts are kept.
const VERDICTS_MAX: u64 = 100_000;

/// How long a verdict is kept without a look at the issuer's keys.
const BELIEVED_MS: u64 = 10 * 60 * 1000;

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its method, for which a proof has to be.
    pub method: &'a Method,
    /// SHA-256 of the client's certificate in DER, if the TLS handshake proved one.
    pub certificate: Option<&'a [u8; 32]>,
    /// Where it comes from, for the record.
    pub peer: Option<IpAddr>,
}

/// What a verifier works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where revocations, API keys and the record of events are.
    pub store: Store,
    /// The way to other issuers.
    pub egress: Egress,
    /// The gateway's own base.
    pub public_url: Url,
    /// The built-in authorization server, if it runs.
    pub local: Option<Arc<LocalIssuer>>,
}

/// Verifies credentials.
#[derive(Debug)]
pub struct TokenVerifier {
    store: Store,
    issuers: Issuers,
    certificates: HashMap<[u8; 32], Arc<Identity>>,
    dpop: Mode,
    nonce: NoncePolicy,
    proofs: Checker,
    /// By the digest of a credential and the resource that it is for.
    verdicts: Cache<[u8; 32], Arc<Verdict>>,
    /// Vouches for API keys and certificates.
    own: Arc<str>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The identifier is none.
    #[error(
        "the identifier of issuer `{0}` is not an http or https URL without query; write it as in `iss`"
    )]
    Issuer(String),
    /// The address of the keys is none.
    #[error(
        "`jwks_uri` of issuer `{0}` is not a URL with the security of the issuer's; correct it"
    )]
    Keys(String),
    /// No token could ever be accepted.
    #[error("issuer `{0}` accepts no algorithm or no type of token; name one, or remove the list")]
    NothingAccepted(String),
    /// The address to ask is none, or answers are to be believed too long.
    #[error(
        "`introspection` of issuer `{0}` needs a URL, and `believed_seconds` of at most 300; correct it"
    )]
    Introspection(String),
    /// A scope is none.
    #[error("`{0}` names a scope that is none; correct its `scopes`")]
    Scope(String),
    /// The fingerprint is none, or somebody else's.
    #[error("certificate `{0}` needs 64 hexadecimal digits of its own in `sha256`")]
    Certificate(String),
    /// Two issuers are one.
    #[error("the issuer `{0}` is configured twice, or is the gateway itself; remove one")]
    SameIssuer(String),
    /// Two would be shown the same tokens.
    #[error("only one issuer may have `introspection`: an opaque token does not say whose it is")]
    SeveralIntrospections,
    /// No key for nonces could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl TokenVerifier {
    /// A verifier that has verified nothing.
    pub fn build(config: &Config, parts: Parts) -> Result<Self, BuildError> {
        let own: Arc<str> = parts.public_url.origin().ascii_serialization().into();
        for (name, issuer) in &config.issuers {
            let mut scopes = issuer.scopes.values().flatten();
            if scopes.any(|scope| crate::scope::check_scope(scope).is_err()) {
                return Err(BuildError::Scope(name.clone()));
            }
        }
        Ok(Self {
            issuers: Issuers::build(&config.issuers, parts.local, &parts.egress)?,
            certificates: credential::certificates(&config.certificates, &own)?,
            dpop: config.dpop,
            nonce: if config.dpop_nonce {
                NoncePolicy::Required
            } else {
                NoncePolicy::Ignored
            },
            proofs: Checker::new()?,
            verdicts: Cache::new(VERDICTS_MAX),
            store: parts.store,
            own,
        })
    }

    /// Who sends a request for `resource`. Every request is verified by itself; a refusal is recorded, and so is the first
    /// success of a credential.
    pub async fn verify(
        &self,
        presented: Presented<'_>,
        resource: &ProtectedResource,
        now_ms: u64,
    ) -> Result<Arc<Identity>, Refused> {
        let shown = match credential::read(&presented, self.dpop) {
            Ok(shown) => shown,
            Err(refused) => {
                self.note(&presented, None, resource, refused.reason, now_ms);
                return Err(refused);
            }
        };
        match self.decide(&presented, shown, resource, now_ms).await {
            Ok(identity) => Ok(identity),
            Err(reason) => {
                self.note(&presented, Some(shown), resource, reason, now_ms);
                let scheme = shown.scheme();
                Err(Refused { reason, scheme })
            }
        }
    }

    /// What a client is told that was refused: status and headers, for the body that its protocol wants. `scopes` are those that
    /// it should ask for.
    pub fn refusal(
        &self,
        refused: Refused,
        resource: &ProtectedResource,
        scopes: &Scopes,
        now_ms: u64,
    ) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = refused.status();
        if let Some(problem) = refused.problem() {
            self.challenge(&mut response, problem, refused.scheme, resource, scopes);
        }
        if self.wants_nonce()
            && let Some(nonce) = self.dpop_nonce(now_ms)
        {
            response.headers_mut().insert(dpop::NONCE_HEADER, nonce);
        }
        no_store(&mut response);
        response
    }

    /// What a client is told whose credential is good, but lacks some of the scopes `needed` for what it wants to do: one
    /// challenge with all of them. It is recorded.
    pub fn step_up(
        &self,
        presented: &Presented<'_>,
        identity: &Identity,
        resource: &ProtectedResource,
        needed: &Scopes,
        now_ms: u64,
    ) -> Response<()> {
        self.store.auth_events().note(AuthEvent {
            reason: Some("insufficient_scope"),
            scopes: Some(needed.to_string().into()),
            ..event(
                AuthEventKind::StepUp,
                AuthOutcome::Failure,
                presented,
                identity,
                resource,
                now_ms,
            )
        });
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        let used = credential::read(presented, self.dpop).map_or(Scheme::Bearer, Shown::scheme);
        self.challenge(
            &mut response,
            Problem::InsufficientScope,
            used,
            resource,
            needed,
        );
        no_store(&mut response);
        response
    }

    /// The nonce of the moment, for the header [`dpop::NONCE_HEADER`] of any response, if nonces are required.
    pub fn dpop_nonce(&self, now_ms: u64) -> Option<HeaderValue> {
        self.wants_nonce().then(|| self.proofs.nonce(now_ms))
    }

    /// Whether tokens are bound to keys.
    pub fn dpop(&self) -> Mode {
        self.dpop
    }

    fn wants_nonce(&self) -> bool {
        self.dpop != Mode::Off && self.nonce == NoncePolicy::Required
    }

    async fn decide(
        &self,
        presented: &Presented<'_>,
        shown: Shown<'_>,
        resource: &ProtectedResource,
        now_ms: u64,
    ) -> Result<Arc<Identity>, Reason> {
        let digest = digest_of(shown, resource);
        // Read before anything is looked up: what changes meanwhile makes the verdict one of an earlier epoch.
        let epoch = self.store.epoch();
        let known = self.verdicts.get(&digest);
        let verdict = match known {
            Some(verdict) if verdict.stands(epoch, now_ms) => verdict,
            known => {
                let renewed = self.renew(known, shown, digest, resource, epoch, now_ms);
                match renewed.await {
                    Ok(verdict) => verdict,
                    Err(reason) => {
                        self.verdicts.invalidate(&digest);
                        return Err(reason);
                    }
                }
            }
        };
        self.confirm(&verdict, presented, shown, resource, now_ms)?;
        if verdict.begins() {
            let identity = &verdict.identity;
            let event = event(
                AuthEventKind::Authentication,
                AuthOutcome::Success,
                presented,
                identity,
                resource,
                now_ms,
            );
            if let Err(error) = self.store.auth_events().append(event).await {
                verdict.begin_again();
                tracing::error!(%error, "an authentication could not be recorded");
                return Err(Reason::StoreUnavailable);
            }
        }
        Ok(Arc::clone(&verdict.identity))
    }

    /// A verdict that stands: an earlier one that still holds, or a new one.
    async fn renew(
        &self,
        known: Option<Arc<Verdict>>,
        shown: Shown<'_>,
        digest: [u8; 32],
        resource: &ProtectedResource,
        epoch: u64,
        now_ms: u64,
    ) -> Result<Arc<Verdict>, Reason> {
        if let Some(verdict) = &known
            && verdict.is_believed(now_ms)
        {
            self.check_revocation(verdict, now_ms).await?;
            verdict.renew(epoch);
            return Ok(Arc::clone(verdict));
        }
        let (verified, believed_ms) = self.judge(shown, digest, resource, now_ms).await?;
        let begun = known.is_some_and(|known| !known.is_new());
        let believed_until_ms = now_ms.saturating_add(believed_ms);
        let verdict = Arc::new(Verdict::new(verified, believed_until_ms, epoch, begun));
        self.check_revocation(&verdict, now_ms).await?;
        self.verdicts.insert(digest, Arc::clone(&verdict));
        Ok(verdict)
    }

    /// Verifies in full, and tells for how long that is believed.
    async fn judge(
        &self,
        shown: Shown<'_>,
        digest: [u8; 32],
        resource: &ProtectedResource,
        now_ms: u64,
    ) -> Result<(Verified, u64), Reason> {
        let token = match shown {
            Shown::Certificate(certificate) => {
                let identity = self.certificates.get(certificate);
                let identity = identity.ok_or(Reason::UnknownCertificate)?;
                return Ok((Verified::configured(Arc::clone(identity)), u64::MAX));
            }
            Shown::Token { token, .. } => token,
        };
        if token.starts_with(api_key::PREFIX) {
            let verified = api_key::verify(&self.store, &self.own, token, resource, now_ms).await?;
            return Ok((verified, BELIEVED_MS));
        }
        // What else of ours looks like this opens nothing here, and is not shown to others.
        if credential::is_own_secret(token) {
            return Err(Reason::Malformed);
        }
        let name = credential::name_of(digest);
        let issuer = match jwt::peek_claims::<Claimed>(token) {
            Ok(Claimed { iss }) => {
                let issuer = self.issuers.get(&iss).ok_or(Reason::Issuer)?;
                (!matches!(issuer.keys, Keys::Asked)).then_some(issuer)
            }
            Err(_opaque) => None,
        };
        if let Some(issuer) = issuer {
            let claims = issuer.read(token, now_ms).await?;
            let verified = issuer.check(&claims, Vouched::Signature, resource, &name, now_ms)?;
            return Ok((verified, BELIEVED_MS));
        }
        let (issuer, introspector) = self
            .issuers
            .introspector
            .as_ref()
            .ok_or(Reason::Malformed)?;
        let claims = introspector.ask(token, digest, now_ms).await?;
        let verified = issuer.check(&claims, Vouched::Answer, resource, &name, now_ms)?;
        Ok((verified, introspector.believed_ms()))
    }

    async fn check_revocation(&self, verdict: &Verdict, now_ms: u64) -> Result<(), Reason> {
        match verdict.identity.kind {
            CredentialKind::Certificate => Ok(()),
            CredentialKind::ApiKey => {
                api_key::live(&self.store, &verdict.identity.token_id, now_ms).await?;
                Ok(())
            }
            CredentialKind::AccessToken => {
                let names = verdict.revocable_as.clone();
                let revocations = self.store.revocations();
                if revocations.any(names, verdict.issued_ms).await? {
                    Err(Reason::Revoked)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether who shows the credential is who it was given to, where it says so.
    fn confirm(
        &self,
        verdict: &Verdict,
        presented: &Presented<'_>,
        shown: Shown<'_>,
        resource: &ProtectedResource,
        now_ms: u64,
    ) -> Result<(), Reason> {
        let (token, scheme) = match shown {
            Shown::Certificate(_) => return Ok(()),
            Shown::Token { token, scheme } => (token, scheme),
        };
        if let Some(bound) = &verdict.confirmation.x5t {
            let certificate = presented.certificate.ok_or(Reason::Certificate)?;
            if **bound != crate::secret::base64url(certificate) {
                return Err(Reason::Certificate);
            }
        }
        match (&verdict.confirmation.jkt, scheme) {
            (None, Scheme::Bearer) if self.dpop == Mode::Required => Err(Reason::Unbound),
            (None, Scheme::Bearer) => Ok(()),
            (None, Scheme::Dpop) => Err(Reason::Unbound),
            // Whoever took a bound token away from its key shows it like this.
            (Some(_), Scheme::Bearer) => Err(Reason::Bound),
            (Some(thumbprint), Scheme::Dpop) => {
                let proof = Proof {
                    jwt: dpop::proof_in(presented.headers)?,
                    method: presented.method,
                    uri: resource.uri(),
                    token: Some(token),
                    thumbprint: Some(thumbprint),
                };
                self.proofs.check(&proof, self.nonce, now_ms)?;
                Ok(())
            }
        }
    }

    fn challenge(
        &self,
        response: &mut Response<()>,
        problem: Problem,
        used: Scheme,
        resource: &ProtectedResource,
        scopes: &Scopes,
    ) {
        let challenge = Challenge {
            resource,
            problem,
            scopes,
            dpop: self.dpop,
            used,
        };
        for value in challenge.values() {
            let headers = response.headers_mut();
            headers.append(http::header::WWW_AUTHENTICATE, value);
        }
    }

    /// Records a refusal. Nothing that the credential says of itself is believed, but for the name of an issuer that is known.
    fn note(
        &self,
        presented: &Presented<'_>,
        shown: Option<Shown<'_>>,
        resource: &ProtectedResource,
        reason: Reason,
        now_ms: u64,
    ) {
        let issuer = match shown {
            Some(Shown::Token { token, .. }) => jwt::peek_claims::<Claimed>(token)
                .ok()
                .and_then(|claimed| self.issuers.get(&claimed.iss))
                .map(|issuer| (*issuer.id).into()),
            Some(Shown::Certificate(_)) | None => None,
        };
        self.store.auth_events().note(AuthEvent {
            reason: Some(reason.as_str()),
            issuer,
            resource: Some(resource.uri().into()),
            address: presented.peer.map(|peer| peer.to_string().into()),
            correlation: shown.map(|shown| credential::name_of(digest_of(shown, resource)).into()),
            ..AuthEvent::new(now_ms, AuthEventKind::Authentication, AuthOutcome::Failure)
        });
    }
}

/// Whose a token claims to be.
#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

fn event(
    kind: AuthEventKind,
    outcome: AuthOutcome,
    presented: &Presented<'_>,
    identity: &Identity,
    resource: &ProtectedResource,
    now_ms: u64,
) -> AuthEvent {
    AuthEvent {
        principal: Some(identity.subject.clone()),
        client: identity.client.clone(),
        issuer: Some((*identity.issuer).into()),
        resource: Some(resource.uri().into()),
        scopes: identity
            .scopes
            .as_ref()
            .map(|scopes| scopes.to_string().into()),
        address: presented.peer.map(|peer| peer.to_string().into()),
        correlation: Some(identity.token_id.clone()),
        ..AuthEvent::new(now_ms, kind, outcome)
    }
}

fn no_store(response: &mut Response<()>) {
    let value = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.insert(http::header::CACHE_CONTROL, value);
}
