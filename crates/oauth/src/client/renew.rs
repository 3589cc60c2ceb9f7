//! Renews a credential that expires, is refused, or is not enough. One at a time for each principal and server.

use std::sync::Arc;

use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, RecordError, ServerTokenKey};
use tracing::warn;

use crate::client::challenge::Challenge;
use crate::client::discovery::{Discovered, discover};
use crate::client::error::CredentialError;
use crate::client::grants;
use crate::client::scopes::choose_scopes;
use crate::client::settings::{ClientIdentity, ServerAuth};
use crate::client::token_endpoint::{TokenError, TokenRequest};
use crate::client::tokens::{Guard, NewToken, Token};
use crate::client::{
    DISCOVERED_MS, FAILURE_MS, GiveUp, Inner, Known, Remembered, STEPS_MAX, STEPS_MS, Server,
    Steps, Used, Verdict,
};

/// A token this young that is refused will not be accepted after another renewal either.
const RENEWED_MS: u64 = 60_000;

/// A refusal, taken apart.
pub(crate) struct Refused {
    pub(crate) server: Box<str>,
    pub(crate) owner: Box<str>,
    pub(crate) principal: Box<str>,
    pub(crate) operation: Box<str>,
    pub(crate) used: Option<Used>,
    pub(crate) attempt: u32,
    pub(crate) challenge: Challenge,
}

impl Inner {
    /// A token that is good now: the one that is kept, or a new one. `None`: a person has to connect, or nothing says yet that
    /// one is needed.
    pub(crate) async fn renewed(
        self: Arc<Self>,
        server: Box<str>,
        owner: Box<str>,
        principal: Box<str>,
        asked: Option<Arc<Remembered>>,
        now_ms: u64,
    ) -> Result<Option<Arc<Token>>, CredentialError> {
        let server = self.server(&server)?;
        let guard = self.tokens.lock(&owner, &server.name).await;
        let held = self.tokens.load(&guard, &owner, &server.name).await?;
        let Some(token) = held else {
            return match asked {
                Some(asked) if !is_interactive(server) => self
                    .obtain(&guard, server, &owner, &principal, &asked, now_ms)
                    .await
                    .map(Some),
                _ => Ok(None),
            };
        };
        // Somebody else may have been here while we waited.
        if token.is_fresh(now_ms) {
            return Ok(Some(token));
        }
        if token.refresh.is_some() {
            match self.refresh(&guard, server, &token, now_ms).await {
                Ok(Some(token)) => return Ok(Some(token)),
                Ok(None) => {}
                // It is good for some seconds more; the next request tries again.
                Err(error) if !token.is_expired(now_ms) => {
                    warn!(
                        server = &*server.name,
                        error = &error as &dyn std::error::Error,
                        "a token was not refreshed"
                    );
                    return Ok(Some(token));
                }
                Err(error) => return Err(error),
            }
        } else if is_interactive(server) {
            if !token.is_expired(now_ms) {
                return Ok(Some(token));
            }
            self.lose(&guard, &token, "expired", now_ms).await?;
        }
        if is_interactive(server) {
            return Ok(None);
        }
        let asked = asked.unwrap_or_else(|| Arc::new(Remembered::of_token(&token, now_ms)));
        self.obtain(&guard, server, &owner, &principal, &asked, now_ms)
            .await
            .map(Some)
    }

    /// 401: the token, if there was one, is good for nothing.
    pub(crate) async fn unauthorized(
        self: Arc<Self>,
        refused: Refused,
        now_ms: u64,
    ) -> Result<Verdict, CredentialError> {
        let server = self.server(&refused.server)?;
        let owner = &refused.owner;
        let guard = self.tokens.lock(owner, &server.name).await;
        let held = self.tokens.load(&guard, owner, &server.name).await?;
        if let Some(token) = &held
            && refused.used != Some(Used(token.generation))
        {
            // There is a newer one than was refused.
            return Ok(Verdict::Retry);
        }
        let asked = Arc::new(Remembered {
            at_ms: now_ms,
            challenge: refused.challenge,
            wanted: held
                .as_ref()
                .map(|token| token.requested.clone())
                .filter(|it| !it.is_empty()),
        });
        self.challenges
            .insert((owner.clone(), server.name.clone()), Arc::clone(&asked));
        if let Some(token) = &held {
            // The server may have moved to another authorization server: what it says now counts.
            self.discovered.invalidate(&*server.name);
            let announced = asked.challenge.resource_metadata.as_deref();
            let found = self
                .discover(server, announced.or(token.metadata_url.as_deref()), now_ms)
                .await?;
            if issued_by(token, &found) {
                let age_ms = now_ms.saturating_sub(token.issued_ms);
                if refused.attempt > 0 && age_ms < RENEWED_MS {
                    // It was just obtained: another one would be no better, and other requests may need it.
                    return Ok(Verdict::GiveUp(GiveUp::Attempts));
                }
                if self.refresh(&guard, server, token, now_ms).await?.is_some() {
                    return Ok(Verdict::Retry);
                }
            }
            if let Some(token) = self.tokens.load(&guard, owner, &server.name).await? {
                self.lose(&guard, &token, "refused", now_ms).await?;
            }
        }
        if is_interactive(server) {
            self.keep_asked(owner, &server.name, &asked).await;
            return Ok(Verdict::Connect {
                url: self.connect_url(&server.name),
            });
        }
        self.obtain(&guard, server, owner, &refused.principal, &asked, now_ms)
            .await?;
        Ok(Verdict::Retry)
    }

    /// 403 with `insufficient_scope`: asks for what was asked for before, and what the server wants now.
    pub(crate) async fn insufficient(
        self: Arc<Self>,
        refused: Refused,
        now_ms: u64,
    ) -> Result<Verdict, CredentialError> {
        let server = self.server(&refused.server)?;
        let owner = &refused.owner;
        let guard = self.tokens.lock(owner, &server.name).await;
        let held = self.tokens.load(&guard, owner, &server.name).await?;
        let (Some(token), Some(challenged)) = (held, refused.challenge.scopes.clone()) else {
            return Ok(Verdict::GiveUp(GiveUp::Forbidden));
        };
        if refused.used != Some(Used(token.generation)) {
            return Ok(Verdict::Retry);
        }
        let event = |outcome, reason| AuthEvent {
            reason: Some(reason),
            principal: Some(owner.clone()),
            client: Some(token.client_id.clone()),
            issuer: Some(token.key.issuer.as_str().into()),
            resource: Some(token.key.resource.as_str().into()),
            scopes: Some(challenged.to_string().into()),
            ..AuthEvent::new(now_ms, AuthEventKind::Upstream, outcome)
        };
        let exhausted = token.granted.contains_all(&challenged)
            || !self.may_step(owner, &server.name, &refused.operation, now_ms)
            || (!is_interactive(server)
                && server
                    .auth
                    .scopes()
                    .is_some_and(|most| !most.contains_all(&challenged)));
        if exhausted {
            let event = event(AuthOutcome::Failure, "step_up_refused");
            self.store.auth_events().note(event);
            return Ok(Verdict::GiveUp(GiveUp::Scopes));
        }
        let event = event(AuthOutcome::Success, "step_up");
        self.store.auth_events().append(event).await?;
        let asked = Arc::new(Remembered {
            at_ms: now_ms,
            challenge: refused.challenge,
            wanted: Some(token.requested.union(&token.granted)),
        });
        self.challenges
            .insert((owner.clone(), server.name.clone()), Arc::clone(&asked));
        if is_interactive(server) {
            self.keep_asked(owner, &server.name, &asked).await;
            return Ok(Verdict::Connect {
                url: self.connect_url(&server.name),
            });
        }
        self.obtain(&guard, server, owner, &refused.principal, &asked, now_ms)
            .await?;
        Ok(Verdict::Retry)
    }

    /// Counts a request for more scopes; `false` once there were enough.
    fn may_step(&self, owner: &str, server: &str, operation: &str, now_ms: u64) -> bool {
        let key = (owner.into(), server.into(), operation.into());
        let steps = self
            .steps
            .get(&key)
            .filter(|it| now_ms.saturating_sub(it.since_ms) < STEPS_MS)
            .unwrap_or(Steps {
                since_ms: now_ms,
                count: 0,
            });
        if steps.count >= STEPS_MAX {
            return false;
        }
        let count = steps.count + 1;
        self.steps.insert(key, Steps { count, ..steps });
        true
    }

    /// What is known of a server, or is found out now.
    pub(crate) async fn discover(
        &self,
        server: &Server,
        announced: Option<&str>,
        now_ms: u64,
    ) -> Result<Arc<Discovered>, CredentialError> {
        let known = self.discovered.get(&server.name);
        let announced = announced
            .map(Box::from)
            .or_else(|| known.as_ref().and_then(|it| it.announced.clone()));
        if let Some(known) = known
            && known.announced == announced
            && now_ms.saturating_sub(known.at_ms) < DISCOVERED_MS
        {
            return Ok(Arc::clone(&known.discovered));
        }
        let found = discover(
            &self.egress,
            &server.trust,
            &server.url,
            announced.as_deref(),
            server.auth.pin(),
        )
        .await?;
        self.check_issuer(server, &found.authorization_server.issuer, now_ms)
            .await?;
        let discovered = Arc::new(found);
        let known = Known {
            at_ms: now_ms,
            announced,
            discovered: Arc::clone(&discovered),
        };
        self.discovered.insert(server.name.clone(), Arc::new(known));
        Ok(discovered)
    }

    /// Credentials that an operator wrote go to the issuer that they named, or the first that the server did: a server that
    /// turns bad must not have them sent elsewhere.
    async fn check_issuer(
        &self,
        server: &Server,
        issuer: &str,
        now_ms: u64,
    ) -> Result<(), CredentialError> {
        if !server.auth.bound() || server.auth.pin().is_some() {
            return Ok(());
        }
        let first = self
            .store
            .client_registrations()
            .first_issuer(server.name.to_string(), issuer.to_owned(), now_ms)
            .await?;
        if first == issuer {
            Ok(())
        } else {
            Err(CredentialError::IssuerChanged)
        }
    }

    /// Exchanges the refresh token (RFC 6749 §6). What comes is on record before it is used. `None`: it is good for nothing any
    /// more, and gone.
    async fn refresh(
        &self,
        guard: &Guard,
        server: &Server,
        token: &Token,
        now_ms: u64,
    ) -> Result<Option<Arc<Token>>, CredentialError> {
        let Some(refresh_token) = &token.refresh else {
            return Ok(None);
        };
        let found = self
            .discover(server, token.metadata_url.as_deref(), now_ms)
            .await?;
        let ServerAuth::OAuth(settings) = &server.auth else {
            return Ok(None);
        };
        if !issued_by(token, &found) {
            self.lose(guard, token, "authorization_server_changed", now_ms)
                .await?;
            return Ok(None);
        }
        let authorization_server = &found.authorization_server;
        let client = self
            .registrar
            .client(
                &server.trust,
                authorization_server,
                &settings.client,
                false,
                now_ms,
            )
            .await?;
        let Some(client) = client.filter(|client| client.id == token.client_id) else {
            self.lose(guard, token, "client_changed", now_ms).await?;
            return Ok(None);
        };
        let request = TokenRequest {
            egress: &self.egress,
            trust: &server.trust,
            nonces: &self.nonces,
            endpoint: &authorization_server.token_endpoint,
            audience: &authorization_server.issuer,
            client: Some(&client),
            dpop: token.dpop.as_ref(),
        };
        let parameters = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.as_str()),
            ("resource", token.key.resource.as_str()),
        ];
        let mut given = match request.send(&parameters, now_ms).await {
            Ok(given) => given,
            Err(TokenError::Refused(code)) => {
                if matches!(code, "invalid_client" | "unauthorized_client")
                    && !matches!(settings.client, ClientIdentity::Preregistered(_))
                {
                    self.registrar.forget(&authorization_server.issuer).await?;
                }
                self.lose(guard, token, code, now_ms).await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if given.refresh_token.is_none() {
            given.refresh_token = token.refresh.clone();
        }
        if given.scopes.is_none() {
            given.scopes = Some(token.granted.clone());
        }
        let new = NewToken {
            given,
            requested: token.requested.clone(),
            client_id: &token.client_id,
            dpop: token.dpop.as_ref(),
            metadata_url: token.metadata_url.as_deref(),
        };
        let kept = self
            .tokens
            .put(guard, token.key.clone(), new, now_ms)
            .await?;
        self.record(&kept, "refreshed", now_ms).await?;
        Ok(Some(kept))
    }

    /// Obtains a token without a person.
    async fn obtain(
        &self,
        guard: &Guard,
        server: &Server,
        owner: &str,
        principal: &str,
        asked: &Remembered,
        now_ms: u64,
    ) -> Result<Arc<Token>, CredentialError> {
        let holder = (Box::from(owner), server.name.clone());
        if let Some((until_ms, error)) = self.failures.get(&holder)
            && now_ms < until_ms
        {
            return Err(CredentialError::Remembered(error));
        }
        let error = match self
            .ask(guard, server, owner, principal, asked, now_ms)
            .await
        {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        let event = AuthEvent {
            reason: Some(error.code()),
            principal: Some(owner.into()),
            resource: Some(server.name.clone()),
            ..AuthEvent::new(now_ms, AuthEventKind::Upstream, AuthOutcome::Failure)
        };
        self.store.auth_events().note(event);
        if !error.is_final() {
            return Err(error);
        }
        let error = Arc::new(error);
        let until_ms = now_ms.saturating_add(FAILURE_MS);
        self.failures.insert(holder, (until_ms, Arc::clone(&error)));
        Err(CredentialError::Remembered(error))
    }

    async fn ask(
        &self,
        guard: &Guard,
        server: &Server,
        owner: &str,
        principal: &str,
        asked: &Remembered,
        now_ms: u64,
    ) -> Result<Arc<Token>, CredentialError> {
        let announced = asked.challenge.resource_metadata.as_deref();
        let found = self.discover(server, announced, now_ms).await?;
        let scopes = choose_scopes(server, &found, asked);
        let key = grants::binding(server, &found, asked)?;
        let (given, client_id) = self
            .granted(server, &found, principal, &scopes, key.as_ref(), now_ms)
            .await?;
        let new = NewToken {
            given,
            requested: scopes,
            client_id: &client_id,
            dpop: key.as_ref(),
            metadata_url: announced,
        };
        let token = self
            .tokens
            .put(guard, token_key(owner, server, &found), new, now_ms)
            .await?;
        self.record(&token, "obtained", now_ms).await?;
        Ok(token)
    }

    /// A credential was obtained: recorded before it is used.
    pub(crate) async fn record(
        &self,
        token: &Token,
        reason: &'static str,
        now_ms: u64,
    ) -> Result<(), RecordError> {
        let event = about(token, AuthOutcome::Success, reason, now_ms);
        self.store.auth_events().append(event).await
    }

    /// Drops a token, and says why.
    async fn lose(
        &self,
        guard: &Guard,
        token: &Token,
        reason: &'static str,
        now_ms: u64,
    ) -> Result<(), CredentialError> {
        let event = about(token, AuthOutcome::Failure, reason, now_ms);
        self.store.auth_events().append(event).await?;
        self.tokens.remove(guard, token).await?;
        Ok(())
    }
}

impl Remembered {
    /// What to ask for again where the server has not said anything since.
    fn of_token(token: &Token, now_ms: u64) -> Self {
        Self {
            at_ms: now_ms,
            challenge: Challenge {
                dpop: token.dpop.is_some(),
                resource_metadata: token.metadata_url.clone(),
                ..Challenge::default()
            },
            wanted: Some(token.requested.clone()).filter(|it| !it.is_empty()),
        }
    }
}

/// Whether a person has to say yes in a browser.
pub(crate) fn is_interactive(server: &Server) -> bool {
    matches!(server.auth, ServerAuth::OAuth(_))
}

fn issued_by(token: &Token, found: &Discovered) -> bool {
    token.key.issuer == found.authorization_server.issuer && token.key.resource == found.resource
}

pub(crate) fn token_key(owner: &str, server: &Server, found: &Discovered) -> ServerTokenKey {
    ServerTokenKey {
        principal: owner.to_owned(),
        server: server.name.to_string(),
        issuer: found.authorization_server.issuer.clone(),
        resource: found.resource.clone(),
    }
}

fn about(token: &Token, outcome: AuthOutcome, reason: &'static str, now_ms: u64) -> AuthEvent {
    AuthEvent {
        reason: Some(reason),
        principal: Some(token.key.principal.as_str().into()),
        client: Some(token.client_id.clone()),
        issuer: Some(token.key.issuer.as_str().into()),
        resource: Some(token.key.resource.as_str().into()),
        scopes: Some(token.granted.to_string().into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Upstream, outcome)
    }
}
