//! Login through a provider: there and back.

use bytes::Bytes;
use http::Response;
use portcullis_store::{Account, AuthEvent, AuthEventKind, AuthOutcome, Identity, NewAccount};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refusal::Refusal;
use super::{Login, Visit, cookie};
use crate::page;
use crate::provider::{Answer, LoginError, Person, Provider, Transaction};
use crate::secret;

/// What a transaction is sealed for.
const PURPOSE: &str = "login-provider";

/// How long its cookie lasts, in seconds.
const COOKIE_S: u64 = 10 * 60;

impl Login {
    /// Sends a browser to a provider, remembering in the browser itself what the answer has to fit.
    pub(super) async fn start_provider(&self, visit: &Visit) -> Result<Response<Bytes>, Refusal> {
        let name = visit.query("provider");
        let provider = self.providers.get(&name).ok_or(Refusal::NotFound)?;
        self.lockout
            .visit(visit.network(), visit.now_ms)
            .map_err(|wait| self.must_wait(visit, wait, None))?;
        let begun = provider
            .begin(
                &self.egress,
                &self.redirect_uri(provider),
                &visit.query("return"),
                visit.now_ms,
            )
            .await;
        let (transaction, address) =
            begun.map_err(|error| self.refuse_provider(visit, provider, &error))?;
        let json = Zeroizing::new(serde_json::to_vec(&transaction).unwrap_or_default());
        let sealed = self.vault.seal(PURPOSE, &json)?;
        let mut response = page::see_other(address.as_str());
        self.cookies.set(
            &mut response,
            cookie::PROVIDER,
            &secret::base64url(&sealed),
            COOKIE_S,
        );
        Ok(response)
    }

    /// Takes a provider's answer, which fits what this browser carries, or is nobody's.
    pub(super) async fn finish_provider(
        &self,
        visit: &Visit,
        name: &str,
    ) -> Result<Response<Bytes>, Refusal> {
        let provider = self.providers.get(name).ok_or(Refusal::NotFound)?;
        self.lockout
            .visit(visit.network(), visit.now_ms)
            .map_err(|wait| self.must_wait(visit, wait, None))?;
        let answered = self.answered(visit, provider).await;
        let mut response = match answered {
            Ok(response) => response,
            Err(refusal) => refusal.page(),
        };
        self.cookies.clear(&mut response, cookie::PROVIDER);
        Ok(response)
    }

    async fn answered(
        &self,
        visit: &Visit,
        provider: &Provider,
    ) -> Result<Response<Bytes>, Refusal> {
        let state = visit.query("state");
        let transaction = self
            .transaction(visit)
            .filter(|own| own.provider == provider.name())
            .filter(|own| secret::equal(own.state.as_bytes(), state.as_bytes()));
        let Some(transaction) = transaction else {
            let event = event(visit, provider, AuthOutcome::Failure, "state");
            self.store.auth_events().note(event);
            return Err(Refusal::Forged);
        };
        if !self.transactions.spend(&transaction, visit.now_ms) {
            let event = event(visit, provider, AuthOutcome::Failure, "state_used_or_old");
            self.store.auth_events().note(event);
            return Err(Refusal::Forged);
        }
        let answer = Answer {
            code: Zeroizing::new(visit.query("code")),
            issuer: visit.query("iss"),
            is_error: visit.has_query("error"),
        };
        let redirect_uri = self.redirect_uri(provider);
        let person = provider
            .finish(
                &self.egress,
                &transaction,
                &answer,
                &redirect_uri,
                visit.now_ms,
            )
            .await
            .map_err(|error| self.refuse_provider(visit, provider, &error))?;
        let account = self.account_of(visit, provider, &person).await?;
        let to = self.return_to(&transaction.return_to);
        let event = AuthEvent {
            principal: Some(account.name.as_str().into()),
            ..event(visit, provider, AuthOutcome::Success, "provider")
        };
        self.admit(visit, &account, &to.path, event).await
    }

    /// The account of a person, by the provider and the subject alone: a name or address that matches proves nothing.
    async fn account_of(
        &self,
        visit: &Visit,
        provider: &Provider,
        person: &Person,
    ) -> Result<Account, Refusal> {
        let accounts = self.store.accounts();
        let identity = Identity {
            provider: provider.name().to_owned(),
            subject: person.subject.clone(),
        };
        if let Some(mut account) = accounts.of_identity(&identity).await? {
            if let Some(groups) = &person.groups
                && *groups != account.groups
            {
                accounts.set_groups(&account.name, groups).await?;
                account.groups.clone_from(groups);
            }
            return Ok(account);
        }
        if !provider.creates_accounts() {
            let event = event(visit, provider, AuthOutcome::Failure, "no_account");
            self.store.auth_events().note(event);
            return Err(Refusal::Changed);
        }
        let new = NewAccount {
            name: provider.account_name(&person.subject),
            display: person.display.clone(),
            groups: person.groups.clone().unwrap_or_default(),
            is_admin: false,
        };
        let created = AuthEvent {
            principal: Some(new.name.as_str().into()),
            issuer: Some(provider.issuer().into()),
            ..visit.event(AuthEventKind::Account, AuthOutcome::Success, "created")
        };
        let made = accounts
            .create_with_identity(new, identity.clone(), created)
            .await?;
        if !made {
            let event = event(visit, provider, AuthOutcome::Failure, "name_taken");
            self.store.auth_events().note(event);
        }
        // Somebody else may have made it at the same time, for the same subject; then it is found all the same.
        accounts
            .of_identity(&identity)
            .await?
            .ok_or(Refusal::Changed)
    }

    fn transaction(&self, visit: &Visit) -> Option<Transaction> {
        let value = self.cookies.read(visit.headers(), cookie::PROVIDER)?;
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let json = self.vault.unseal(PURPOSE, &sealed).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// One for each provider, so that none can answer for another (RFC 9700 §4.4.2).
    fn redirect_uri(&self, provider: &Provider) -> String {
        let base = self.public_url.origin().ascii_serialization();
        format!("{base}/oauth/provider/callback/{}", provider.name())
    }

    fn refuse_provider(&self, visit: &Visit, provider: &Provider, error: &LoginError) -> Refusal {
        tracing::warn!(
            provider = provider.name(),
            %error,
            cause = ?std::error::Error::source(error),
            "a login through a provider was refused"
        );
        let event = event(visit, provider, AuthOutcome::Failure, error.reason());
        self.store.auth_events().note(event);
        match error {
            LoginError::Fetch(_) | LoginError::Metadata | LoginError::Endpoint => {
                Refusal::ProviderDown
            }
            LoginError::NoRandomness(error) => Refusal::NoRandomness(*error),
            LoginError::Issuer
            | LoginError::Refused
            | LoginError::Unbelieved(_)
            | LoginError::NotAllowed => Refusal::Provider,
        }
    }
}

fn event(
    visit: &Visit,
    provider: &Provider,
    outcome: AuthOutcome,
    reason: &'static str,
) -> AuthEvent {
    AuthEvent {
        issuer: Some(provider.issuer().into()),
        ..visit.event(AuthEventKind::Login, outcome, reason)
    }
}
