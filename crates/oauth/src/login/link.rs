//! Invitations and resets: their owner chooses a password, once.
//!
//! What an administrator's command printed is pasted into the form. It is never part of an address, so that no history, log or
//! `Referer` has it.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_store::{AuthEventKind, AuthOutcome};
use zeroize::Zeroizing;

use super::form::Visitor;
use super::refusal::Refusal;
use super::{HOME, Login, Visit, at};
use crate::account::LINK_PREFIX;
use crate::page;
use crate::password;
use crate::secret;

#[derive(Debug, Template)]
#[template(path = "invitation.html")]
struct InvitationPage<'a> {
    action: &'a str,
    csrf: &'a str,
    code: &'a str,
    alert: Option<&'a str>,
    reset: bool,
}

impl Login {
    pub(super) fn show_link(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let visitor = self.visitor(visit)?;
        let mut response = link_page(visit, &visitor, StatusCode::OK, "", None);
        self.keep(&visitor, &mut response);
        Ok(response)
    }

    pub(super) async fn redeem_link(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let (visitor, form) = self.visitor_form(visit)?;
        self.lockout
            .visit(visit.network(), visit.now_ms)
            .map_err(|wait| self.must_wait(visit, wait, None))?;
        let code = form.get("code").trim();
        let digest = secret::sha256(code.as_bytes());
        let accounts = self.store.accounts();
        let name = if code.starts_with(LINK_PREFIX) {
            accounts.link_account(digest, visit.now_ms).await?
        } else {
            None
        };
        let Some(name) = name else {
            return Ok(self.refuse_link(visit, &visitor));
        };
        let chosen = form.get("password");
        let alert = if chosen == form.get("repeat") {
            password::check(chosen, &name)
                .err()
                .map(|unfit| unfit.to_string())
        } else {
            Some("The two passwords differ.".to_owned())
        };
        if alert.is_some() {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(link_page(visit, &visitor, status, code, alert.as_deref()));
        }
        let chosen = Zeroizing::new(chosen.to_owned());
        let hash = self.passwords.hash(chosen).await?;
        let event = visit.event(AuthEventKind::Account, AuthOutcome::Success, "password_set");
        match accounts.redeem_link(digest, hash, event).await? {
            Some(account) => {
                let event = visit.event(AuthEventKind::Login, AuthOutcome::Success, "invitation");
                self.admit(visit, &account, HOME, at(event, Some(&account)))
                    .await
            }
            None => Ok(self.refuse_link(visit, &visitor)),
        }
    }

    fn refuse_link(&self, visit: &Visit, visitor: &Visitor) -> Response<Bytes> {
        let event = visit.event(AuthEventKind::Account, AuthOutcome::Failure, "invalid_link");
        self.store.auth_events().note(event);
        let alert = Some(
            "This code is wrong, expired, or was used before. Ask your administrator for another.",
        );
        link_page(visit, visitor, StatusCode::FORBIDDEN, "", alert)
    }
}

fn link_page(
    visit: &Visit,
    visitor: &Visitor,
    status: StatusCode,
    code: &str,
    alert: Option<&str>,
) -> Response<Bytes> {
    let action = visit.request.uri().path();
    let page = InvitationPage {
        action,
        csrf: &visitor.csrf(),
        code,
        alert,
        reset: action.ends_with("/reset"),
    };
    page::render(status, &page, &[])
}
