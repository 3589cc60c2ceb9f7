//! Sessions of browsers.

use askama::Template;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use portcullis_store::{Account, AuthEvent, AuthEventKind, AuthOutcome};

use super::refusal::Refusal;
use super::{HOME, Login, Visit, cookie, form};
use crate::page;
use crate::secret;

/// How long ago a session was seen last before it is written down again.
const TOUCH_MS: u64 = 60 * 1000;

/// How long after a login its session may change how its account logs in.
const FRESH_MS: u64 = 15 * 60 * 1000;

/// A browser that is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account's name.
    pub account: Box<str>,
    /// What pages call the account.
    pub display: Box<str>,
    /// The account's groups.
    pub groups: Vec<Box<str>>,
    /// When its owner authenticated, in Unix milliseconds.
    pub authenticated_ms: u64,
    /// What every form of this session has to carry.
    pub csrf: Box<str>,
}

#[derive(Debug, Template)]
#[template(path = "logged_out.html")]
struct LoggedOutPage;

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    session: &'a Session,
    has_password: bool,
    has_second_factor: bool,
}

impl Login {
    /// The session whose cookie a request has, while it lasts. A store that cannot be read has none.
    pub async fn session(&self, headers: &HeaderMap, now_ms: u64) -> Option<Session> {
        match self.find_session(headers, now_ms).await {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "a session could not be read");
                None
            }
        }
    }

    async fn find_session(
        &self,
        headers: &HeaderMap,
        now_ms: u64,
    ) -> Result<Option<Session>, Refusal> {
        let Some(id) = self.cookies.read(headers, cookie::SESSION) else {
            return Ok(None);
        };
        let digest = secret::sha256(id.as_bytes());
        let sessions = self.store.browser_sessions();
        let Some(found) = sessions.find(digest, self.span, now_ms).await? else {
            return Ok(None);
        };
        if now_ms.saturating_sub(found.seen_ms) > TOUCH_MS {
            sessions.touch(digest, now_ms).await?;
        }
        Ok(Some(Session {
            account: found.account.into(),
            display: found.display.into(),
            groups: found.groups,
            authenticated_ms: found.authenticated_ms,
            csrf: form::csrf(id).into(),
        }))
    }

    /// The digest of the session cookie of a request, whether there is such a session or not.
    pub(super) fn session_digest(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        self.cookies
            .read(headers, cookie::SESSION)
            .map(|id| secret::sha256(id.as_bytes()))
    }

    /// The session of a visit and its account, or the way to the login. What changes how an account logs in needs a login that
    /// is `fresh`.
    pub(super) async fn logged_in(
        &self,
        visit: &Visit,
        fresh: bool,
    ) -> Result<Result<(Session, Account), Response<Bytes>>, Refusal> {
        let session = self.find_session(visit.headers(), visit.now_ms).await?;
        let session = session.filter(|session| {
            let age = visit.now_ms.saturating_sub(session.authenticated_ms);
            !fresh || age <= FRESH_MS
        });
        let Some(session) = session else {
            return Ok(Err(self.start(visit.request.uri().path())));
        };
        match self.store.accounts().find(&session.account).await? {
            Some(account) => Ok(Ok((session, account))),
            None => Err(Refusal::Changed),
        }
    }

    pub(super) async fn show_account(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let (session, account) = match self.logged_in(visit, false).await? {
            Ok(found) => found,
            Err(login) => return Ok(login),
        };
        let page = AccountPage {
            session: &session,
            has_password: account.password.is_some(),
            has_second_factor: account.totp.is_some(),
        };
        Ok(page::render(StatusCode::OK, &page, &[]))
    }

    pub(super) async fn show_logged_out(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let session = self.find_session(visit.headers(), visit.now_ms).await?;
        Ok(match session {
            Some(_) => page::see_other(HOME),
            None => page::render(StatusCode::OK, &LoggedOutPage, &[]),
        })
    }

    pub(super) async fn log_out(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let headers = visit.headers();
        let session = self.find_session(headers, visit.now_ms).await?;
        let (Some(session), Some(digest)) = (session, self.session_digest(headers)) else {
            return Ok(page::see_other("/oauth/logout"));
        };
        self.form(visit, &session.csrf)?;
        let event = AuthEvent {
            principal: Some(session.account),
            ..visit.event(AuthEventKind::Logout, AuthOutcome::Success, "asked")
        };
        self.store.browser_sessions().end(digest, event).await?;
        let mut response = page::see_other("/oauth/logout");
        self.cookies.clear(&mut response, cookie::SESSION);
        Ok(response)
    }
}
