//! Login: who sits at the browser.
//!
//! An account logs in with a password, and a second factor where it has one, or through a provider; what follows is a session,
//! which the authorization server and the console believe. Accounts are made by an administrator's command
//! ([`account`](crate::account)); here their owners use what it gave them. Pages are plain forms, answered after a POST by 303 only.

mod config;
mod cookie;
mod device;
mod enter;
mod form;
mod link;
mod refusal;
mod return_to;
mod second_factor;
mod session;
mod through_provider;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use portcullis_egress::Egress;
use portcullis_store::{
    Account, AuthEvent, AuthEventKind, AuthOutcome, NewBrowserSession, SessionSpan, Store,
};
use url::Url;

pub use config::Config;
pub use session::Session;

use cookie::Cookies;
use refusal::Refusal;

use crate::lockout::{Lockout, Network, Wait};
use crate::page;
use crate::password::{HashError, Passwords};
use crate::provider::{self, Provider, Transactions};
use crate::secret;
use crate::vault::Vault;

/// Where a browser goes that came from nowhere.
const HOME: &str = "/oauth/account";

/// What a [`Login`] is built on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where accounts and sessions are kept.
    pub store: Store,
    /// What seals secrets at rest and in cookies.
    pub vault: Arc<Vault>,
    /// The way to providers.
    pub egress: Egress,
    /// The gateway's own base, without a path.
    pub public_url: Url,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A provider's.
    #[error("the provider `{name}` cannot be used")]
    Provider {
        /// Its name in the configuration.
        name: String,
        /// Why.
        #[source]
        source: provider::BuildError,
    },
    /// A span or bound is zero.
    #[error("`session_idle_minutes`, `session_hours` and `sessions_max` are at least 1")]
    Zero,
    /// Passwords cannot be hashed.
    #[error("passwords cannot be hashed on this system")]
    Passwords(#[source] HashError),
}

/// The login of accounts, and the sessions of browsers.
#[derive(Debug)]
pub struct Login {
    store: Store,
    vault: Arc<Vault>,
    egress: Egress,
    public_url: Url,
    cookies: Cookies,
    span: SessionSpan,
    sessions_max: u32,
    passwords: Passwords,
    lockout: Lockout,
    providers: BTreeMap<String, Provider>,
    transactions: Transactions,
}

/// A request as the pages see it.
struct Visit {
    request: Request<Bytes>,
    peer: Option<IpAddr>,
    now_ms: u64,
}

impl Login {
    /// The login that `config` describes.
    pub fn build(config: &Config, parts: Parts) -> Result<Self, BuildError> {
        let providers = config
            .providers
            .iter()
            .map(|(name, config)| match Provider::build(name, config) {
                Ok(provider) => Ok((name.clone(), provider)),
                Err(source) => Err(BuildError::Provider {
                    name: name.clone(),
                    source,
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            cookies: Cookies::new(&parts.public_url),
            span: config.span().ok_or(BuildError::Zero)?,
            sessions_max: config.sessions_max,
            passwords: Passwords::new().map_err(BuildError::Passwords)?,
            lockout: Lockout::default(),
            transactions: Transactions::default(),
            providers,
            store: parts.store,
            vault: parts.vault,
            egress: parts.egress,
            public_url: parts.public_url,
        })
    }

    /// Whether this answers requests for `path`.
    pub fn owns(path: &str) -> bool {
        let under = |root: &str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        under("/oauth/login")
            || path == "/oauth/logout"
            || under("/oauth/account")
            || under("/oauth/provider")
    }

    /// Answers a request for a path that this [owns](Self::owns). Its body was read, and bounded, before.
    pub async fn respond(
        &self,
        request: Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let visit = Visit {
            request,
            peer,
            now_ms,
        };
        let mut response = match self.route(&visit).await {
            Ok(response) => response,
            Err(refusal) => refusal.page(),
        };
        page::transport(response.headers_mut(), &self.public_url);
        response
    }

    async fn route(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let post = match *visit.request.method() {
            Method::GET | Method::HEAD => false,
            Method::POST => true,
            _ => return Err(Refusal::Method),
        };
        match (visit.request.uri().path(), post) {
            ("/oauth/login", false) => self.show_login(visit),
            ("/oauth/login", true) => self.log_in(visit).await,
            ("/oauth/login/code", true) => self.log_in_with_code(visit).await,
            ("/oauth/logout", false) => self.show_logged_out(visit).await,
            ("/oauth/logout", true) => self.log_out(visit).await,
            (HOME, false) => self.show_account(visit).await,
            ("/oauth/account/invitation" | "/oauth/account/reset", false) => self.show_link(visit),
            ("/oauth/account/invitation" | "/oauth/account/reset", true) => {
                self.redeem_link(visit).await
            }
            ("/oauth/account/totp", false) => self.show_second_factor(visit).await,
            ("/oauth/account/totp", true) => self.add_second_factor(visit).await,
            ("/oauth/account/totp/remove", true) => self.remove_second_factor(visit).await,
            ("/oauth/provider/start", false) => self.start_provider(visit).await,
            (path, false) => match path.strip_prefix("/oauth/provider/callback/") {
                Some(name) => self.finish_provider(visit, name).await,
                None => Err(Refusal::NotFound),
            },
            (_, true) => Err(Refusal::NotFound),
        }
    }

    /// Begins a session for an account that has authenticated, and sends its browser on. Its identifier is always new, and the
    /// session that this browser had before ends, so that nobody can plant one (session fixation).
    async fn admit(
        &self,
        visit: &Visit,
        account: &Account,
        to: &str,
        event: AuthEvent,
    ) -> Result<Response<Bytes>, Refusal> {
        let headers = visit.request.headers();
        let id = secret::generate("")?;
        let new = NewBrowserSession {
            digest: secret::sha256(id.as_bytes()),
            account: account.name.clone(),
            version: account.version,
            replaces: self.session_digest(headers),
            sessions_max: self.sessions_max,
        };
        let refused = changed(&event);
        let sessions = self.store.browser_sessions();
        if !sessions.begin(new, self.span, event).await? {
            self.store.auth_events().note(refused);
            return Err(Refusal::Changed);
        }
        let device = self.device_cookie(headers, account, visit.now_ms)?;
        let mut response = page::see_other(to);
        let cookies = &self.cookies;
        cookies.set(
            &mut response,
            cookie::SESSION,
            &id,
            self.span.total_ms / 1000,
        );
        cookies.set(
            &mut response,
            cookie::DEVICE,
            &device,
            device::LASTS_MS / 1000,
        );
        cookies.clear(&mut response, cookie::VISITOR);
        Ok(response)
    }
}

impl Visit {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn network(&self) -> Network {
        Network::of(self.peer)
    }

    /// The value of a parameter of the address; empty when it is absent or there more than once.
    fn query(&self, name: &str) -> String {
        let query = self.request.uri().query().unwrap_or_default();
        let mut values = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned());
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => String::new(),
        }
    }

    fn has_query(&self, name: &str) -> bool {
        let query = self.request.uri().query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
    }

    fn event(&self, kind: AuthEventKind, outcome: AuthOutcome, reason: &'static str) -> AuthEvent {
        AuthEvent {
            reason: Some(reason),
            address: self.peer.map(|peer| peer.to_string().into()),
            ..AuthEvent::new(self.now_ms, kind, outcome)
        }
    }
}

/// The event of a login that came too late: the account was disabled, reset or removed before its session began.
fn changed(event: &AuthEvent) -> AuthEvent {
    AuthEvent {
        outcome: AuthOutcome::Failure,
        reason: Some("account_changed"),
        ..event.clone()
    }
}

/// An event at an account that exists. What was typed as the name of one that does not is never recorded: it may be a password.
fn at(event: AuthEvent, account: Option<&Account>) -> AuthEvent {
    AuthEvent {
        principal: account.map(|account| account.name.as_str().into()),
        ..event
    }
}

impl Login {
    /// Records that somebody was told to wait, once for each delay.
    fn must_wait(&self, visit: &Visit, wait: Wait, account: Option<&Account>) -> Refusal {
        if wait.first {
            let event = visit.event(
                AuthEventKind::Lockout,
                AuthOutcome::Failure,
                "too_many_tries",
            );
            self.store.auth_events().note(at(event, account));
        }
        Refusal::Wait {
            seconds: wait.ms.div_ceil(1000).max(1),
        }
    }
}
