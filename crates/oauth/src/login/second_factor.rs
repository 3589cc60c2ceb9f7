//! The second factor of an account: adding it, and taking it away.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_store::{Account, AuthEventKind, AuthOutcome};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::enter::totp_purpose;
use super::refusal::Refusal;
use super::session::Session;
use super::{HOME, Login, Visit, at};
use crate::page;
use crate::secret;
use crate::totp::{self, Totp};

#[derive(Debug, Template)]
#[template(path = "second_factor.html")]
struct SecondFactorPage<'a> {
    csrf: &'a str,
    alert: Option<&'a str>,
    enrolment: Option<Enrolment<'a>>,
}

/// A secret that was not confirmed yet.
#[derive(Debug)]
struct Enrolment<'a> {
    /// The secret, sealed for this session.
    pending: &'a str,
    base32: &'a str,
    address: &'a str,
}

#[derive(Debug, Template)]
#[template(path = "recovery.html")]
struct RecoveryPage<'a> {
    codes: &'a [Zeroizing<String>],
}

impl Login {
    pub(super) async fn show_second_factor(
        &self,
        visit: &Visit,
    ) -> Result<Response<Bytes>, Refusal> {
        let (session, account) = match self.logged_in(visit, true).await? {
            Ok(found) => found,
            Err(login) => return Ok(login),
        };
        if account.totp.is_some() {
            return Ok(removal_page(&session, StatusCode::OK, None));
        }
        let secret = totp::new_secret()?;
        let sealed = self.vault.seal(&enrolment_purpose(&session), &*secret)?;
        let pending = secret::base64url(&sealed);
        self.enrolment_page(&session, &*secret, &pending, StatusCode::OK, None)
    }

    pub(super) async fn add_second_factor(
        &self,
        visit: &Visit,
    ) -> Result<Response<Bytes>, Refusal> {
        let (session, account) = match self.logged_in(visit, true).await? {
            Ok(found) => found,
            Err(login) => return Ok(login),
        };
        let form = self.form(visit, &session.csrf)?;
        let pending = form.get("pending");
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(pending) else {
            return Err(Refusal::Form);
        };
        let Ok(secret) = self.vault.unseal(&enrolment_purpose(&session), &sealed) else {
            return Err(Refusal::Forged);
        };
        let totp = Totp::new(&secret, self.issuer(), &account.name)?;
        let code: String = form
            .get("code")
            .chars()
            .filter(|char| *char != ' ')
            .collect();
        let Some(step) = totp.step_of(&code, 0, visit.now_ms) else {
            let alert = Some("The code is wrong. Check the secret and your device's clock.");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return self.enrolment_page(&session, &secret, pending, status, alert);
        };
        let codes = totp::recovery_codes()?;
        let digests = codes
            .iter()
            .map(|code| totp::recovery_digest(code))
            .collect();
        let sealed = self.vault.seal(&totp_purpose(&account.name), &secret)?;
        let event = visit.event(AuthEventKind::Account, AuthOutcome::Success, "totp_added");
        let event = at(event, Some(&account));
        let accounts = self.store.accounts();
        if !accounts
            .set_totp(&account.name, sealed, step, digests, event)
            .await?
        {
            return Err(Refusal::Changed);
        }
        let page = RecoveryPage { codes: &codes };
        Ok(page::render(StatusCode::OK, &page, &[]))
    }

    pub(super) async fn remove_second_factor(
        &self,
        visit: &Visit,
    ) -> Result<Response<Bytes>, Refusal> {
        let (session, account) = match self.logged_in(visit, true).await? {
            Ok(found) => found,
            Err(login) => return Ok(login),
        };
        let form = self.form(visit, &session.csrf)?;
        let source = self.source(visit, Some(&account));
        self.try_at(visit, &account.name, source, Some(&account))?;
        let code = form.get("code");
        if !self.is_code(&account, code, visit.now_ms).await? {
            self.note_wrong_code(visit, &account);
            let alert = Some("The code is wrong, too old, or was used before.");
            return Ok(removal_page(&session, StatusCode::FORBIDDEN, alert));
        }
        self.lockout.succeeded(&account.name, source);
        let event = visit.event(AuthEventKind::Account, AuthOutcome::Success, "totp_removed");
        let event = at(event, Some(&account));
        self.store
            .accounts()
            .remove_totp(&account.name, event)
            .await?;
        Ok(page::see_other(HOME))
    }

    fn note_wrong_code(&self, visit: &Visit, account: &Account) {
        let event = visit.event(AuthEventKind::Account, AuthOutcome::Failure, "wrong_code");
        self.store.auth_events().note(at(event, Some(account)));
    }

    fn enrolment_page(
        &self,
        session: &Session,
        secret: &[u8],
        pending: &str,
        status: StatusCode,
        alert: Option<&str>,
    ) -> Result<Response<Bytes>, Refusal> {
        let totp = Totp::new(secret, self.issuer(), &session.account)?;
        let page = SecondFactorPage {
            csrf: &session.csrf,
            alert,
            enrolment: Some(Enrolment {
                pending,
                base32: &totp.base32(),
                address: &totp.address(),
            }),
        };
        Ok(page::render(status, &page, &[]))
    }
}

fn removal_page(session: &Session, status: StatusCode, alert: Option<&str>) -> Response<Bytes> {
    let page = SecondFactorPage {
        csrf: &session.csrf,
        alert,
        enrolment: None,
    };
    page::render(status, &page, &[])
}

/// The secret is of use in the session that made it, and in no other.
fn enrolment_purpose(session: &Session) -> String {
    format!("totp-enrolment:{}:{}", session.account, session.csrf)
}
