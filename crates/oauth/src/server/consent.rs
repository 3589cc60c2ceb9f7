//! The consent page: the resource owner decides on a client before it gets anything.
//!
//! The request travels through the form sealed, bound to the session, for one use within ten minutes. What the page shows of a
//! client is the client's own word, and marked as such, but for the hosts that it is bound to.

use std::net::IpAddr;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{HeaderValue, ORIGIN};
use http::{HeaderMap, Request, Response, StatusCode};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Consent};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::login::Session;
use crate::page;
use crate::scope::Scopes;
use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::authorize::refuse_page;
use crate::server::client::{Client, GrantType, Origin};
use crate::server::clients::REGISTERED_PREFIX;
use crate::server::error::{Code, Refusal};
use crate::server::parameters::Parameters;
use crate::server::redirect_uri::RedirectUri;
use crate::server::request::Asked;

/// What a pending request is sealed for.
const PURPOSE: &str = "consent-request";

/// How long a consent page may be answered.
const PENDING_MS: u64 = 10 * 60_000;

const DAY_MS: u64 = 24 * 60 * 60_000;

/// For how many days a consent may be remembered, and where the code stays on this machine, which proves little of the client.
const REMEMBERED_DAYS: [u64; 3] = [7, 30, 90];
const REMEMBERED_DAYS_LOCAL_MAX: u64 = 30;

/// A request that waits for its answer.
#[derive(Deserialize, Serialize)]
struct Pending {
    asked: Asked,
    account: String,
    /// The digest of the session's form secret.
    session: [u8; 32],
    id: String,
    asked_ms: u64,
    days_max: u64,
}

#[derive(Debug, Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    client: &'a str,
    client_host: Option<&'a str>,
    verified: bool,
    place: &'a str,
    local: bool,
    local_only: bool,
    resource: &'a str,
    resource_title: &'a str,
    scopes: Vec<ScopeLine<'a>>,
    refreshes_days: Option<u64>,
    display: &'a str,
    account: &'a str,
    csrf: &'a str,
    request: &'a str,
    days: Vec<u64>,
}

#[derive(Debug)]
struct ScopeLine<'a> {
    name: &'a str,
    description: &'a str,
    tools: &'a [String],
}

impl AuthorizationServer {
    /// The page that asks.
    pub(super) fn consent_page(
        &self,
        client: &Client,
        redirect: &RedirectUri,
        asked: &Asked,
        session: &Session,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        let days_max = if redirect.is_local() {
            REMEMBERED_DAYS_LOCAL_MAX
        } else {
            u64::MAX
        };
        let pending = Pending {
            asked: asked.clone(),
            account: session.account.to_string(),
            session: secret::sha256(session.csrf.as_bytes()),
            id: secret::base64url(&secret::random::<16>()?),
            asked_ms: now_ms,
            days_max,
        };
        let pending = serde_json::to_vec(&pending).map_err(|error| {
            tracing::error!(%error, "a pending request could not be written");
            Refusal::new(
                Code::ServerError,
                "internal",
                "The server could not do this; try again later.",
            )
        })?;
        let request = secret::base64url(&self.vault.seal(PURPOSE, &pending)?);
        let scopes: Scopes = asked.scopes.parse().unwrap_or_default();
        let lines = self
            .scopes
            .iter()
            .filter(|(name, _)| scopes.contains(name))
            .map(|(name, info)| ScopeLine {
                name,
                description: &info.description,
                tools: &info.tools,
            })
            .collect();
        let title = self
            .resources
            .iter()
            .find(|it| it.uri.as_str() == asked.resource)
            .map_or("", |it| &*it.title);
        let host = Url::parse(&client.id)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let place = redirect.place();
        let page = ConsentPage {
            client: &client.name,
            client_host: host
                .as_deref()
                .filter(|_| client.origin == Origin::Document),
            verified: client.origin == Origin::Static,
            place: &place,
            local: redirect.is_local(),
            local_only: client.is_local_only(),
            resource: &asked.resource,
            resource_title: title,
            scopes: lines,
            refreshes_days: client
                .may(GrantType::RefreshToken)
                .then_some(self.config.grant_ttl.as_secs() / (24 * 60 * 60)),
            display: &session.display,
            account: &session.account,
            csrf: &session.csrf,
            request: &request,
            days: REMEMBERED_DAYS
                .into_iter()
                .filter(|days| *days <= days_max)
                .collect(),
        };
        let target = page::form_target(redirect.url());
        Ok(page::render(StatusCode::OK, &page, &[&target]))
    }

    /// Takes the answer of the page.
    pub(super) async fn consent(
        &self,
        request: Request<Bytes>,
        session: Option<Session>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let account = session.as_ref().map(|it| it.account.clone());
        match self.decide(&request, session, peer, now_ms).await {
            Ok(response) => response,
            Err(refusal) => {
                self.note_refusal(&refusal, None, account.as_deref(), peer, now_ms);
                refuse_page(&refusal)
            }
        }
    }

    async fn decide(
        &self,
        request: &Request<Bytes>,
        session: Option<Session>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        let refuse = |reason, text| Err(Refusal::new(Code::InvalidRequest, reason, text));
        if !is_from_own_page(request.headers(), &self.issuer) {
            return refuse(
                "cross_site",
                "This form was sent from another site. Start again from the application.",
            );
        }
        let form = Parameters::from_form(request.headers(), request.body())?;
        let Some(session) = session else {
            return refuse(
                "no_session",
                "Your login has ended. Start again from the application.",
            );
        };
        let csrf = form.get("csrf").unwrap_or_default();
        if !secret::equal(csrf.as_bytes(), session.csrf.as_bytes()) {
            return refuse(
                "csrf",
                "This form does not belong to your login. Start again from the application.",
            );
        }
        let Some(pending) = self.open_pending(form.get("request").unwrap_or_default(), &session)
        else {
            return refuse(
                "consent_request",
                "This form does not belong to your login. Start again from the application.",
            );
        };
        let until_ms = pending.asked_ms.saturating_add(PENDING_MS);
        if until_ms <= now_ms {
            return refuse(
                "consent_late",
                "This page was open for too long. Start again from the application.",
            );
        }
        let id = format!("consent:{}", pending.id);
        if !self.store.spent().take(id, until_ms).await? {
            return refuse(
                "consent_twice",
                "This form was sent before. Start again from the application.",
            );
        }
        let asked = &pending.asked;
        let Ok(redirect) = RedirectUri::parse(&asked.redirect_uri) else {
            return refuse("redirect_uri", "The redirect URI is malformed.");
        };
        if form.get("decision") != Some("allow") {
            let denied = Refusal::new(Code::AccessDenied, "denied", "The resource owner said no.");
            let event = self.event(now_ms, AuthEventKind::Consent, AuthOutcome::Failure, peer);
            let event = AuthEvent {
                reason: Some(denied.reason),
                principal: Some(session.account.clone()),
                client: Some(asked.client.as_str().into()),
                resource: Some(asked.resource.as_str().into()),
                scopes: Some(asked.scopes.as_str().into()),
                ..event
            };
            self.store.auth_events().append(event).await?;
            let target = self.error_target(&redirect, asked.state.as_deref(), &denied);
            return Ok(page::see_other(&target));
        }
        let days = form
            .get("remember")
            .and_then(|days| days.parse::<u64>().ok());
        let days = days.filter(|days| REMEMBERED_DAYS.contains(days) && *days <= pending.days_max);
        if let Some(days) = days {
            self.remember(asked, &redirect, &session, days, now_ms)
                .await?;
        }
        if asked.client.starts_with(REGISTERED_PREFIX) {
            self.store
                .oauth_clients()
                .touch(asked.client.clone(), now_ms)
                .await?;
        }
        self.give_code(asked, &session, "allowed", peer, now_ms)
            .await
    }

    fn open_pending(&self, sealed: &str, session: &Session) -> Option<Pending> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.vault.unseal(PURPOSE, &sealed).ok()?;
        let pending: Pending = serde_json::from_slice(&plain).ok()?;
        let digest = secret::sha256(session.csrf.as_bytes());
        let bound = pending.account == *session.account && secret::equal(&pending.session, &digest);
        bound.then_some(pending)
    }

    async fn remember(
        &self,
        asked: &Asked,
        redirect: &RedirectUri,
        session: &Session,
        days: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let consent = Consent {
            account: session.account.to_string(),
            client: asked.client.clone(),
            redirect_host: redirect.place(),
            resource: asked.resource.clone(),
            scopes: asked.scopes.clone(),
            granted_ms: now_ms,
            expires_ms: now_ms.saturating_add(days.saturating_mul(DAY_MS)),
        };
        Ok(self.store.consents().remember(consent).await?)
    }
}

/// Whether a form was sent by a page of ours, as far as the browser says. Where it says nothing, the form's secret decides.
///
/// A page that sends no referrer sends `Origin: null`, so that this counts only if the browser also names the site.
fn is_from_own_page(headers: &HeaderMap, origin: &str) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return false;
    }
    match headers.get(ORIGIN).map(HeaderValue::as_bytes) {
        None => true,
        Some(b"null") => site.is_some(),
        Some(named) => named == origin.as_bytes(),
    }
}
