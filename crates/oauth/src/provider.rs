//! `OpenID` providers: other people's logins that an operator trusts (`OpenID` Connect Core 1.0, Discovery 1.0).
//!
//! The code flow with PKCE, `state` and `nonce`. Each provider has a redirect URI of its own, and where it names itself in its
//! answer, by its exact issuer (RFC 9207), so that one cannot pass for another (RFC 9700 §4.4). Of its answer only the ID token is
//! read; its other tokens are dropped.

mod discovery;
mod fetch;
mod id_token;
mod transaction;

use std::fmt;

use http_body_util::Full;
use portcullis_egress::Egress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account;
use crate::jwt::{self, Algorithm};
use crate::secret::{self, NoRandomness};

pub use fetch::FetchError;
pub use id_token::Unbelieved;
pub(crate) use transaction::{Transaction, Transactions};

use discovery::{Discovery, Metadata};
use id_token::Claims;

/// An `OpenID` provider through which people may log in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider's issuer, exactly as its metadata spells it.
    pub issuer: String,
    /// What the provider knows this gateway by.
    pub client_id: String,
    /// The secret that goes with it; none for a public client. Write `${NAME}` or `${file:PATH}` rather than the secret itself.
    #[serde(default)]
    pub client_secret: Option<ClientSecret>,
    /// What the login page calls the provider; its name when absent.
    #[serde(default)]
    pub label: Option<String>,
    /// The scopes to ask for.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that tells people apart and never changes: `sub`, or `oid` at Entra.
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
    /// The claim that lists groups. When set, an account's groups are what the provider says at each login.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// The algorithms that ID tokens may be signed with.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// Who may log in. Nobody, unless something here says so.
    #[serde(default)]
    pub allowed: Allowed,
    /// Whether somebody who is allowed and has no account gets one.
    #[serde(default)]
    pub create_accounts: bool,
}

/// Who of a provider's people may log in: those of whom at least one of these holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allowed {
    /// Everybody whom the provider knows. Only for a provider, realm or tenant of your own.
    pub everyone: bool,
    /// The domain of their e-mail address, which the provider says it verified.
    pub email_domains: Vec<String>,
    /// The Google Workspace domain they belong to (`hd`).
    pub hosted_domains: Vec<String>,
    /// A group they are in.
    pub groups: Vec<String>,
    /// They themselves, by the subject claim.
    pub subjects: Vec<String>,
}

/// A secret of the configuration. It is not shown.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ClientSecret(String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

impl From<String> for ClientSecret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Settings of a provider that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its name.
    #[error("a provider's name has 1 to 32 of the characters `a-z0-9-` and begins with a letter")]
    Name,
    /// Its issuer.
    #[error("the issuer `{0}` is not an https address without query and fragment")]
    Issuer(String),
    /// An algorithm.
    #[error("`{0}` is not one of ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512")]
    Algorithm(String),
    /// Its scopes.
    #[error("`scopes` has to name `openid`")]
    Scopes,
    /// Nobody may log in.
    #[error("`allowed` names nobody; list domains, groups or subjects, or set `everyone`")]
    Nobody,
}

/// Why nobody is logged in by a provider's answer.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It could not be asked.
    #[error("the provider could not be asked")]
    Fetch(#[from] FetchError),
    /// Its metadata is another's.
    #[error("the provider's metadata names another issuer; set `issuer` to what it names")]
    Metadata,
    /// An address in its metadata cannot be used.
    #[error("the provider's metadata has an address that is not https")]
    Endpoint,
    /// The answer names another issuer, or none where it has to (RFC 9207 §2.4).
    #[error("the answer is another issuer's")]
    Issuer,
    /// It refused.
    #[error("the provider refused")]
    Refused,
    /// Its ID token is not believed.
    #[error("the ID token is not believed: {0}")]
    Unbelieved(#[from] Unbelieved),
    /// The person may not log in.
    #[error("the person is not allowed; see `allowed`")]
    NotAllowed,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl LoginError {
    /// The word in the record.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "provider_unreachable",
            Self::Metadata | Self::Endpoint => "provider_metadata",
            Self::Issuer => "provider_issuer",
            Self::Refused => "provider_refused",
            Self::Unbelieved(why) => why.reason(),
            Self::NotAllowed => "not_allowed",
            Self::NoRandomness(_) => "no_randomness",
        }
    }
}

/// A provider.
#[derive(Debug)]
pub(crate) struct Provider {
    name: String,
    config: Config,
    issuer: Url,
    algorithms: Vec<Algorithm>,
    discovery: Discovery,
}

/// Somebody whom a provider knows and who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) display: String,
    /// Their groups, where the provider is asked for them.
    pub(crate) groups: Option<Vec<Box<str>>>,
}

/// What a provider's redirect brought (RFC 6749 §4.1.2).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Zeroizing<String>,
    pub(crate) issuer: String,
    pub(crate) is_error: bool,
}

#[derive(Deserialize)]
struct TokenResponse {
    id_token: String,
}

impl Provider {
    pub(crate) fn build(name: &str, config: &Config) -> Result<Self, BuildError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let begins = name.starts_with(|char: char| char.is_ascii_lowercase());
        if !begins || name.len() > 32 || !name.bytes().all(plain) {
            return Err(BuildError::Name);
        }
        let issuer = Url::parse(&config.issuer)
            .ok()
            .filter(|issuer| fetch::is_usable(issuer, issuer))
            .filter(|issuer| issuer.query().is_none() && issuer.fragment().is_none())
            .ok_or_else(|| BuildError::Issuer(config.issuer.clone()))?;
        let algorithms = config
            .algorithms
            .iter()
            .map(|text| match text.parse() {
                Ok(algorithm) if jwt::KNOWN.contains(&algorithm) => Ok(algorithm),
                _ => Err(BuildError::Algorithm(text.clone())),
            })
            .collect::<Result<_, _>>()?;
        if !config.scopes.iter().any(|scope| scope == "openid") {
            return Err(BuildError::Scopes);
        }
        let allowed = &config.allowed;
        let lists = [
            &allowed.email_domains,
            &allowed.hosted_domains,
            &allowed.groups,
            &allowed.subjects,
        ];
        if !allowed.everyone && lists.iter().all(|list| list.is_empty()) {
            return Err(BuildError::Nobody);
        }
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            issuer,
            algorithms,
            discovery: Discovery::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    pub(crate) fn label(&self) -> &str {
        self.config.label.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn creates_accounts(&self) -> bool {
        self.config.create_accounts
    }

    /// The name of the account that is made for a subject. It says where the account comes from, so that nobody at a provider
    /// can choose to be called like somebody here.
    pub(crate) fn account_name(&self, subject: &str) -> String {
        let plain = format!("{}.{subject}", self.name);
        if subject.len() <= 40 && plain.parse::<account::AccountName>().is_ok() {
            return plain;
        }
        let digest = secret::sha256(subject.as_bytes());
        let short = digest.first_chunk().copied().unwrap_or_default();
        format!("{}.{:032x}", self.name, u128::from_be_bytes(short))
    }

    /// Where to send a browser, and what to remember of it.
    pub(crate) async fn begin(
        &self,
        egress: &Egress,
        redirect_uri: &str,
        return_to: &str,
        now_ms: u64,
    ) -> Result<(Transaction, Url), LoginError> {
        let metadata = self.metadata(egress, now_ms).await?;
        let transaction = Transaction::new(&self.name, return_to, now_ms)?;
        let mut address = metadata.authorization_endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("state", &transaction.state)
            .append_pair("nonce", &transaction.nonce)
            .append_pair("code_challenge", &transaction.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok((transaction, address))
    }

    /// Who the answer to `transaction` says it is, if that may log in.
    pub(crate) async fn finish(
        &self,
        egress: &Egress,
        transaction: &Transaction,
        answer: &Answer,
        redirect_uri: &str,
        now_ms: u64,
    ) -> Result<Person, LoginError> {
        let metadata = self.metadata(egress, now_ms).await?;
        // Before anything else of the answer is looked at, its error too (RFC 9207 §2.4).
        let named = !answer.issuer.is_empty();
        if (named || metadata.names_itself) && answer.issuer != self.config.issuer {
            return Err(LoginError::Issuer);
        }
        if answer.is_error || answer.code.is_empty() {
            return Err(LoginError::Refused);
        }
        let form = self.token_form(&metadata, transaction, answer, redirect_uri);
        let response: TokenResponse = self.redeem(egress, &metadata, form).await?;
        let claims = self
            .believe(egress, &metadata, &response.id_token, transaction, now_ms)
            .await?;
        let person = self.person(&claims)?;
        if !self.is_allowed(&claims, &person) {
            return Err(LoginError::NotAllowed);
        }
        Ok(person)
    }

    async fn metadata(&self, egress: &Egress, now_ms: u64) -> Result<Metadata, LoginError> {
        self.discovery
            .metadata(egress, &self.config.issuer, &self.issuer, now_ms)
            .await
    }

    fn token_form(
        &self,
        metadata: &Metadata,
        transaction: &Transaction,
        answer: &Answer,
        redirect_uri: &str,
    ) -> Zeroizing<String> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", &answer.code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", &transaction.verifier);
        match &self.config.client_secret {
            None => {
                form.append_pair("client_id", &self.config.client_id);
            }
            Some(secret) if metadata.secret_in_body => {
                form.append_pair("client_id", &self.config.client_id)
                    .append_pair("client_secret", &secret.0);
            }
            Some(_) => {}
        }
        Zeroizing::new(form.finish())
    }

    async fn redeem(
        &self,
        egress: &Egress,
        metadata: &Metadata,
        form: Zeroizing<String>,
    ) -> Result<TokenResponse, LoginError> {
        let mut request = http::Request::post(metadata.token_endpoint.as_str())
            .header(http::header::ACCEPT, "application/json")
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            );
        if let Some(secret) = &self.config.client_secret
            && !metadata.secret_in_body
        {
            // RFC 6749 §2.3.1: both are form-encoded first.
            let encode = |text: &str| -> String {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = Zeroizing::new(format!(
                "{}:{}",
                encode(&self.config.client_id),
                encode(&secret.0)
            ));
            request = request.header(
                http::header::AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(pair.as_bytes())),
            );
        }
        let request = request
            .body(Full::from(form.as_bytes().to_vec()))
            .map_err(|_invalid| FetchError::Address)?;
        let client = egress.client(fetch::reach(&self.issuer, &metadata.token_endpoint));
        Ok(fetch::json(client, request).await?)
    }

    async fn believe(
        &self,
        egress: &Egress,
        metadata: &Metadata,
        token: &str,
        transaction: &Transaction,
        now_ms: u64,
    ) -> Result<Claims, LoginError> {
        let kid = jwt::peek(token).map_err(Unbelieved::Token)?.kid;
        let key = self
            .discovery
            .key(
                egress,
                &self.issuer,
                &metadata.jwks_uri,
                kid.as_deref(),
                now_ms,
            )
            .await?
            .ok_or(Unbelieved::Key)?;
        let claims: Claims =
            jwt::verify(token, &key, &self.algorithms, &["jwt"]).map_err(Unbelieved::Token)?;
        claims.check(
            &self.config.issuer,
            &self.config.client_id,
            &transaction.nonce,
            now_ms,
        )?;
        Ok(claims)
    }

    fn person(&self, claims: &Claims) -> Result<Person, Unbelieved> {
        let subject = claims
            .text(&self.config.subject_claim)
            .filter(|subject| account::check_text(subject).is_ok())
            .ok_or(Unbelieved::Subject)?;
        let display = ["name", "preferred_username", "email"]
            .iter()
            .filter_map(|claim| claims.text(claim))
            .find(|text| account::check_text(text).is_ok())
            .unwrap_or(subject);
        let groups = self
            .config
            .groups_claim
            .as_deref()
            .map(|claim| claims.list(claim));
        if groups
            .as_deref()
            .is_some_and(|groups| account::check_groups(groups).is_err())
        {
            return Err(Unbelieved::Groups);
        }
        Ok(Person {
            subject: subject.to_owned(),
            display: display.to_owned(),
            groups,
        })
    }

    fn is_allowed(&self, claims: &Claims, person: &Person) -> bool {
        let allowed = &self.config.allowed;
        let among = |list: &[String], text: &str| list.iter().any(|one| one == text);
        let domain = claims
            .text("email")
            .filter(|_| claims.is_true("email_verified"))
            .and_then(|email| email.rsplit_once('@'))
            .map(|(_, domain)| domain);
        let groups = person.groups.as_deref().unwrap_or_default();
        allowed.everyone
            || among(&allowed.subjects, &person.subject)
            || groups.iter().any(|group| among(&allowed.groups, group))
            || domain.is_some_and(|domain| {
                let mut domains = allowed.email_domains.iter();
                domains.any(|one| one.eq_ignore_ascii_case(domain))
            })
            || claims
                .text("hd")
                .is_some_and(|domain| among(&allowed.hosted_domains, domain))
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).into()
}

fn default_subject_claim() -> String {
    "sub".to_owned()
}

fn default_algorithms() -> Vec<String> {
    ["ES256", "RS256", "EdDSA"].map(str::to_owned).into()
}

#[cfg(test)]
mod tests;
