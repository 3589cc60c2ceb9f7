//! The login itself: a password, then a code where the account has a second factor.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_store::{Account, AuthEventKind, AuthOutcome};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::form::Visitor;
use super::refusal::Refusal;
use super::{Login, Visit, at};
use crate::account::AccountName;
use crate::form::Form;
use crate::lockout::Source;
use crate::page;
use crate::password::{BYTES_MAX, Verdict};
use crate::secret;
use crate::totp::{self, Totp};

/// How long a code may be typed after the password, in milliseconds.
const PENDING_MS: u64 = 5 * 60 * 1000;

/// The longest name that is looked at, in characters; a longer one is nobody's.
const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    csrf: &'a str,
    return_to: &'a str,
    alert: Option<&'a str>,
    providers: Vec<Choice<'a>>,
}

/// A provider on the page.
#[derive(Debug)]
struct Choice<'a> {
    href: String,
    label: &'a str,
}

#[derive(Debug, Template)]
#[template(path = "totp.html")]
struct CodePage<'a> {
    csrf: &'a str,
    pending: &'a str,
    alert: Option<&'a str>,
}

/// A login that lacks its code. It is sealed for one browser.
#[derive(Serialize, Deserialize)]
struct Pending {
    account: String,
    version: u64,
    return_to: String,
    issued_ms: u64,
}

/// How a code was recognised, or not.
enum Code {
    Wrong,
    Totp,
    Recovery,
}

impl Login {
    pub(super) fn show_login(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let visitor = self.visitor(visit)?;
        let return_to = visit.query("return");
        let mut response = self.login_page(&visitor, &return_to, StatusCode::OK, None);
        self.keep(&visitor, &mut response);
        Ok(response)
    }

    /// Checks a password. Whether there is no such account, it may not log in, it has no password or another: the work and the
    /// answer are the same.
    pub(super) async fn log_in(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let (visitor, form) = self.visitor_form(visit)?;
        let typed = form.get("account").trim().to_lowercase();
        let account = self.named(&typed).await?;
        let source = self.source(visit, account.as_ref());
        self.try_at(visit, &typed, source, account.as_ref())?;

        let kept = account
            .as_ref()
            .filter(|account| !account.disabled)
            .and_then(|account| account.password.clone());
        // A password of any other length cannot have been chosen.
        let password = form.get("password");
        let password = if password.len() > BYTES_MAX {
            ""
        } else {
            password
        };
        let password = Zeroizing::new(password.to_owned());
        let verdict = self.passwords.verify(password, kept.clone()).await?;
        let (Verdict::Right { rehashed }, Some(account)) = (verdict, account.as_ref()) else {
            let reason = match &account {
                None => "unknown_account",
                Some(account) if account.disabled => "disabled",
                Some(_) => "wrong_password",
            };
            let event = visit.event(AuthEventKind::Login, AuthOutcome::Failure, reason);
            self.store.auth_events().note(at(event, account.as_ref()));
            let alert = Some("The account or the password is wrong.");
            let return_to = form.get("return");
            return Ok(self.login_page(&visitor, return_to, StatusCode::FORBIDDEN, alert));
        };
        if let (Some(old), Some(new)) = (kept, rehashed) {
            self.store
                .accounts()
                .rehash(&account.name, old, new)
                .await?;
        }
        if account.totp.is_some() {
            let pending = self.pending(visit, &visitor, account, &form)?;
            return Ok(self.code_page(&visitor, &pending, StatusCode::OK, None));
        }
        self.lockout.succeeded(&typed, source);
        let to = self.return_to(form.get("return"));
        let event = visit.event(AuthEventKind::Login, AuthOutcome::Success, "password");
        self.admit(visit, account, &to.path, at(event, Some(account)))
            .await
    }

    /// Checks the code that follows a password.
    pub(super) async fn log_in_with_code(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let (visitor, form) = self.visitor_form(visit)?;
        let Some(pending) = self.read_pending(visit, &visitor, form.get("pending")) else {
            return Err(Refusal::Forged);
        };
        let account = self.store.accounts().find(&pending.account).await?;
        let account =
            account.filter(|account| account.version == pending.version && !account.disabled);
        let Some(account) = account else {
            let event = visit.event(
                AuthEventKind::Login,
                AuthOutcome::Failure,
                "account_changed",
            );
            self.store.auth_events().note(event);
            return Err(Refusal::Changed);
        };
        let source = self.source(visit, Some(&account));
        self.try_at(visit, &account.name, source, Some(&account))?;
        let reason = match self
            .check_code(&account, form.get("code"), visit.now_ms)
            .await?
        {
            Code::Wrong => {
                let event = visit.event(AuthEventKind::Login, AuthOutcome::Failure, "wrong_code");
                self.store.auth_events().note(at(event, Some(&account)));
                let alert = Some("The code is wrong, too old, or was used before.");
                let pending = form.get("pending");
                return Ok(self.code_page(&visitor, pending, StatusCode::FORBIDDEN, alert));
            }
            Code::Totp => "totp",
            Code::Recovery => "recovery_code",
        };
        self.lockout.succeeded(&account.name, source);
        let to = self.return_to(&pending.return_to);
        let event = visit.event(AuthEventKind::Login, AuthOutcome::Success, reason);
        self.admit(visit, &account, &to.path, at(event, Some(&account)))
            .await
    }

    /// Whether `code` is the account's code of now; if it is, it is used up.
    pub(super) async fn is_code(
        &self,
        account: &Account,
        code: &str,
        now_ms: u64,
    ) -> Result<bool, Refusal> {
        let code = self.check_code(account, code, now_ms).await?;
        Ok(!matches!(code, Code::Wrong))
    }

    /// Asks for a try at an account.
    pub(super) fn try_at(
        &self,
        visit: &Visit,
        typed: &str,
        source: Source,
        account: Option<&Account>,
    ) -> Result<(), Refusal> {
        let name: String = typed.chars().take(NAME_CHARS_MAX).collect();
        self.lockout
            .attempt(&name, source, visit.network(), visit.now_ms)
            .map_err(|wait| self.must_wait(visit, wait, account))
    }

    /// Where a try at an account comes from.
    pub(super) fn source(&self, visit: &Visit, account: Option<&Account>) -> Source {
        account
            .and_then(|account| self.device(visit.headers(), account, visit.now_ms))
            .map_or_else(|| Source::Network(visit.network()), Source::Device)
    }

    async fn named(&self, typed: &str) -> Result<Option<Account>, Refusal> {
        match typed.parse::<AccountName>() {
            Ok(name) => Ok(self.store.accounts().find(name.as_str()).await?),
            Err(_nobody) => Ok(None),
        }
    }

    async fn check_code(
        &self,
        account: &Account,
        typed: &str,
        now_ms: u64,
    ) -> Result<Code, Refusal> {
        let Some(sealed) = &account.totp else {
            return Ok(Code::Wrong);
        };
        let secret = self.vault.unseal(&totp_purpose(&account.name), sealed)?;
        let totp = Totp::new(&secret, self.issuer(), &account.name)?;
        let plain: String = typed.chars().filter(|char| *char != ' ').collect();
        let accounts = self.store.accounts();
        if let Some(step) = totp.step_of(&plain, account.totp_step, now_ms) {
            let spent = accounts.spend_totp_step(&account.name, step).await?;
            return Ok(if spent { Code::Totp } else { Code::Wrong });
        }
        let digest = totp::recovery_digest(typed);
        let spent = accounts.spend_recovery_code(&account.name, digest).await?;
        Ok(if spent { Code::Recovery } else { Code::Wrong })
    }

    /// What a device shows beside the account.
    pub(super) fn issuer(&self) -> &str {
        self.public_url.host_str().unwrap_or("Portcullis")
    }

    fn pending(
        &self,
        visit: &Visit,
        visitor: &Visitor,
        account: &Account,
        form: &Form,
    ) -> Result<String, Refusal> {
        let pending = Pending {
            account: account.name.clone(),
            version: account.version,
            return_to: form.get("return").to_owned(),
            issued_ms: visit.now_ms,
        };
        let json = serde_json::to_vec(&pending).unwrap_or_default();
        let sealed = self.vault.seal(&pending_purpose(visitor), &json)?;
        Ok(secret::base64url(&sealed))
    }

    fn read_pending(&self, visit: &Visit, visitor: &Visitor, text: &str) -> Option<Pending> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let json = self.vault.unseal(&pending_purpose(visitor), &sealed).ok()?;
        let pending: Pending = serde_json::from_slice(&json).ok()?;
        let age = visit.now_ms.saturating_sub(pending.issued_ms);
        (age <= PENDING_MS).then_some(pending)
    }

    fn login_page(
        &self,
        visitor: &Visitor,
        return_to: &str,
        status: StatusCode,
        alert: Option<&str>,
    ) -> Response<Bytes> {
        let meant = self.return_to(return_to);
        let target: Vec<&str> = meant.target.as_deref().into_iter().collect();
        let link = |name: &str| {
            url::form_urlencoded::Serializer::new(String::from("/oauth/provider/start?"))
                .append_pair("provider", name)
                .append_pair("return", return_to)
                .finish()
        };
        let page = LoginPage {
            csrf: &visitor.csrf(),
            return_to,
            alert,
            providers: self
                .providers
                .iter()
                .map(|(name, provider)| Choice {
                    href: link(name),
                    label: provider.label(),
                })
                .collect(),
        };
        page::render(status, &page, &target)
    }

    fn code_page(
        &self,
        visitor: &Visitor,
        pending: &str,
        status: StatusCode,
        alert: Option<&str>,
    ) -> Response<Bytes> {
        // The form's redirect goes where the login page's would have gone.
        let target = URL_SAFE_NO_PAD
            .decode(pending)
            .ok()
            .and_then(|sealed| self.vault.unseal(&pending_purpose(visitor), &sealed).ok())
            .and_then(|json| serde_json::from_slice::<Pending>(&json).ok())
            .and_then(|pending| self.return_to(&pending.return_to).target);
        let target: Vec<&str> = target.as_deref().into_iter().collect();
        let page = CodePage {
            csrf: &visitor.csrf(),
            pending,
            alert,
        };
        page::render(status, &page, &target)
    }
}

/// What the second factor of an account is sealed for.
pub(super) fn totp_purpose(account: &str) -> String {
    format!("totp:{account}")
}

fn pending_purpose(visitor: &Visitor) -> String {
    format!("login-pending:{}", *visitor.id)
}
