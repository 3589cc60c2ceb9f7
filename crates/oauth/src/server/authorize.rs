//! The authorization endpoint (RFC 6749 §3.1): checks a request, and asks the resource owner.
//!
//! Until the client and its redirect URI are known to belong together, nothing is sent to either; the person at the browser is
//! told instead (RFC 6749 §4.1.2.1, RFC 9700 §4.11.2).

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use portcullis_store::grants::Code as StoredCode;
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Grant};

use crate::login::Session;
use crate::page;
use crate::scope::Scopes;
use crate::secret;
use crate::server::client::{Client, Origin};
use crate::server::clients::NoClient;
use crate::server::documents::NoDocument;
use crate::server::error::{Code, Refusal};
use crate::server::parameters::{InvalidParameters, Parameters};
use crate::server::redirect_uri::RedirectUri;
use crate::server::request::{Asked, Prompt};
use crate::server::{AuthorizationServer, millis, path};

/// Seals the moment from which a login is asked for.
const LOGIN_PURPOSE: &str = "login-since";

/// The parameter that carries it through the login.
const LOGIN_SINCE: &str = "login_since";

/// A page about a request that cannot be answered with a redirect, or only if its reader wants it.
#[derive(Debug, Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    text: &'a str,
    /// Where the answer would go, and how that is shown.
    back: Option<(&'a str, &'a str)>,
}

impl AuthorizationServer {
    /// Answers the authorization endpoint.
    pub(super) async fn authorize(
        &self,
        request: Request<Bytes>,
        session: Option<Session>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let parsed = if request.method() == Method::POST {
            Parameters::from_form(request.headers(), request.body())
        } else {
            Parameters::parse(request.uri().query().unwrap_or_default().as_bytes())
        };
        let (parameters, repeated) = match parsed {
            Ok(parameters) => (parameters, false),
            Err(InvalidParameters::Repeated(rest)) => (rest, true),
            Err(error) => return refuse_page(&Refusal::from(error)),
        };
        let (client, redirect) = match self.find_redirect(&parameters, peer, now_ms).await {
            Ok(found) => found,
            Err(refusal) => {
                self.note_refusal(&refusal, parameters.get("client_id"), None, peer, now_ms);
                return refuse_page(&refusal);
            }
        };
        let read = if repeated {
            Err(Refusal::new(
                Code::InvalidRequest,
                "parameters",
                "Send each parameter once.",
            ))
        } else {
            self.read_request(&client, redirect.as_str(), &parameters)
        };
        let answered = match read {
            Ok((asked, prompt)) => {
                self.ask(
                    &client,
                    &redirect,
                    &asked,
                    prompt,
                    &parameters,
                    session.as_ref(),
                    peer,
                    now_ms,
                )
                .await
            }
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(response) => response,
            Err(refusal) => {
                let account = session.as_ref().map(|it| &*it.account);
                self.note_refusal(&refusal, Some(&client.id), account, peer, now_ms);
                let state = parameters.get("state");
                let target = self.error_target(&redirect, state, &refusal);
                if self
                    .is_trusted(&client, &redirect, session.as_ref(), now_ms)
                    .await
                {
                    page::see_other(&target)
                } else {
                    let place = redirect.place();
                    refuse(&refusal, Some((&target, &place)))
                }
            }
        }
    }

    /// The client and the redirect URI of a request, if they belong together.
    async fn find_redirect(
        &self,
        parameters: &Parameters,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<(Arc<Client>, RedirectUri), Refusal> {
        let refuse = |reason, text| Refusal::new(Code::InvalidRequest, reason, text);
        let client_id = parameters
            .get("client_id")
            .ok_or_else(|| refuse("no_client", "The address lacks a client_id."))?;
        let client = match self.clients.find(client_id, peer, now_ms).await {
            Ok(client) => client,
            Err(NoClient::Read(error)) => return Err(error.into()),
            Err(NoClient::Document(NoDocument::Busy)) => {
                return Err(Refusal::new(
                    Code::TemporarilyUnavailable,
                    NoDocument::Busy.reason(),
                    "Too many new applications at once; wait a minute and try again.",
                ));
            }
            Err(error @ NoClient::Document(_)) => {
                return Err(refuse(
                    error.reason(),
                    "The application's metadata document could not be used. Whoever runs the application has to correct it.",
                ));
            }
            Err(error @ NoClient::Unknown) => {
                return Err(refuse(
                    error.reason(),
                    "The application is not known here. Start again from the application, so that it registers anew.",
                ));
            }
        };
        let asked = parameters
            .get("redirect_uri")
            .ok_or_else(|| refuse("no_redirect_uri", "The address lacks a redirect_uri."))?;
        let registered = RedirectUri::parse(asked)
            .ok()
            .filter(|asked| client.redirect_uris.iter().any(|it| it.allows(asked)));
        let redirect = registered.ok_or_else(|| {
            refuse(
                "redirect_uri",
                "The application wants the answer sent to an address that it has not registered.",
            )
        })?;
        Ok((client, redirect))
    }

    /// Sends a request that is in order to the login, to the consent page, or, where consent is remembered, back with a code.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request, on its one way"
    )]
    async fn ask(
        &self,
        client: &Client,
        redirect: &RedirectUri,
        asked: &Asked,
        prompt: Prompt,
        parameters: &Parameters,
        session: Option<&Session>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        let since_ms = self.login_since(parameters, prompt, now_ms);
        let session = session.filter(|it| {
            !prompt.login || since_ms.is_some_and(|since_ms| it.authenticated_ms >= since_ms)
        });
        let Some(session) = session else {
            if prompt.none {
                return Err(Refusal::new(
                    Code::LoginRequired,
                    "login_required",
                    "The resource owner is not logged in.",
                ));
            }
            return self.start_login(parameters, prompt, now_ms);
        };
        if !prompt.consent && self.is_remembered(asked, redirect, session, now_ms).await? {
            return self
                .give_code(asked, session, "remembered", peer, now_ms)
                .await;
        }
        if prompt.none {
            return Err(Refusal::new(
                Code::ConsentRequired,
                "consent_required",
                "The resource owner has to be asked.",
            ));
        }
        self.consent_page(client, redirect, asked, session, now_ms)
    }

    /// The login, and from there the same request again. A login that was asked for is asked for once.
    fn start_login(
        &self,
        parameters: &Parameters,
        prompt: Prompt,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        let mut query = parameters.to_query();
        if prompt.login && parameters.get(LOGIN_SINCE).is_none() {
            let sealed = self.vault.seal(LOGIN_PURPOSE, &now_ms.to_be_bytes())?;
            query.push('&');
            query.push_str(LOGIN_SINCE);
            query.push('=');
            query.push_str(&secret::base64url(&sealed));
        }
        Ok(self.login.start(&format!("{}?{query}", path::AUTHORIZE)))
    }

    /// From when on a login counts as the one that was asked for.
    fn login_since(&self, parameters: &Parameters, prompt: Prompt, now_ms: u64) -> Option<u64> {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        if !prompt.login {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(parameters.get(LOGIN_SINCE)?).ok()?;
        let plain = self.vault.unseal(LOGIN_PURPOSE, &sealed).ok()?;
        let since_ms = u64::from_be_bytes(plain.as_slice().try_into().ok()?);
        // An old one would let any login count.
        (now_ms.saturating_sub(since_ms) <= 10 * 60_000).then_some(since_ms)
    }

    /// Whether this account has allowed this client as much before, and asked to remember it.
    async fn is_remembered(
        &self,
        asked: &Asked,
        redirect: &RedirectUri,
        session: &Session,
        now_ms: u64,
    ) -> Result<bool, Refusal> {
        let remembered = self
            .store
            .consents()
            .scopes(
                session.account.to_string(),
                asked.client.clone(),
                redirect.place(),
                asked.resource.clone(),
                now_ms,
            )
            .await?;
        let (Some(remembered), Ok(wanted)) = (remembered, asked.scopes.parse::<Scopes>()) else {
            return Ok(false);
        };
        Ok(remembered
            .parse::<Scopes>()
            .is_ok_and(|remembered| remembered.contains_all(&wanted)))
    }

    /// Whether an error may be sent to a redirect URI without asking. Otherwise anybody could register an address and have this
    /// server lead people there (RFC 9700 §4.11.2). What stays on this machine, and what the operator wrote, leads nobody astray.
    async fn is_trusted(
        &self,
        client: &Client,
        redirect: &RedirectUri,
        session: Option<&Session>,
        now_ms: u64,
    ) -> bool {
        if client.origin == Origin::Static || redirect.is_local() {
            return true;
        }
        let Some(session) = session else { return false };
        let known = self
            .store
            .consents()
            .any(
                session.account.to_string(),
                client.id.to_string(),
                redirect.place(),
                now_ms,
            )
            .await;
        known.unwrap_or(false)
    }

    /// Keeps a grant, and sends the browser back with its code (RFC 6749 §4.1.2, RFC 9207).
    pub(super) async fn give_code(
        &self,
        asked: &Asked,
        session: &Session,
        consent: &'static str,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        let code = secret::generate("pcc_")?;
        let id = secret::base64url(&secret::random::<16>()?);
        let grant = Grant {
            id: id.clone(),
            subject: session.account.to_string(),
            client: asked.client.clone(),
            client_name: asked.client_name.clone(),
            resource: asked.resource.clone(),
            scopes: asked.scopes.clone(),
            jkt: None,
            created_ms: now_ms,
            used_ms: now_ms,
            expires_ms: now_ms.saturating_add(millis(self.config.grant_ttl)),
            revoked_ms: None,
        };
        let stored = StoredCode {
            digest: secret::sha256(code.as_bytes()),
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.challenge.clone(),
            jkt: asked.jkt.clone(),
            expires_ms: now_ms.saturating_add(millis(self.config.code_ttl)),
        };
        let given = AuthEvent {
            principal: Some(session.account.clone()),
            client: Some(asked.client.as_str().into()),
            resource: Some(asked.resource.as_str().into()),
            scopes: Some(asked.scopes.as_str().into()),
            correlation: Some(id.into()),
            reason: Some(consent),
            ..self.event(now_ms, AuthEventKind::Consent, AuthOutcome::Success, peer)
        };
        let issued = AuthEvent {
            kind: AuthEventKind::Code,
            reason: None,
            ..given.clone()
        };
        self.store
            .grants()
            .add(grant, stored, vec![given, issued])
            .await?;
        let Ok(redirect) = RedirectUri::parse(&asked.redirect_uri) else {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "redirect_uri",
                "The redirect URI is malformed.",
            ));
        };
        let mut answer = vec![("code", code.as_str())];
        if let Some(state) = &asked.state {
            answer.push(("state", state));
        }
        answer.push(("iss", &self.issuer));
        Ok(page::see_other(&redirect.with(&answer)))
    }

    /// Where an error goes (RFC 6749 §4.1.2.1, RFC 9207 §2).
    pub(super) fn error_target(
        &self,
        redirect: &RedirectUri,
        state: Option<&str>,
        refusal: &Refusal,
    ) -> String {
        let mut answer = vec![
            ("error", refusal.code.as_str()),
            ("error_description", refusal.text),
        ];
        if let Some(state) = state {
            answer.push(("state", state));
        }
        answer.push(("iss", &self.issuer));
        redirect.with(&answer)
    }

    pub(super) fn note_refusal(
        &self,
        refusal: &Refusal,
        client: Option<&str>,
        account: Option<&str>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) {
        let event = self.event(now_ms, AuthEventKind::Consent, AuthOutcome::Failure, peer);
        self.store.auth_events().note(AuthEvent {
            reason: Some(refusal.reason),
            client: client.map(Into::into),
            principal: account.map(Into::into),
            ..event
        });
    }
}

/// The page of a refusal that goes to nobody else.
pub(super) fn refuse_page(refusal: &Refusal) -> Response<Bytes> {
    refuse(refusal, None)
}

fn refuse(refusal: &Refusal, back: Option<(&str, &str)>) -> Response<Bytes> {
    let status = match refusal.code {
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::TemporarilyUnavailable => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let page = ErrorPage {
        title: "This application cannot be connected",
        text: refusal.text,
        back,
    };
    page::render(status, &page, &[])
}
