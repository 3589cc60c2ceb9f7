//! Checks the claims of a token (RFC 7519 §4.1, RFC 9068 §4) and translates them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::Issuer;
use crate::identity::{CredentialKind, Identity};
use crate::resource::ProtectedResource;
use crate::scope::Scopes;
use crate::verifier::Reason;

/// How far another's clock may be from ours.
const LEEWAY_MS: u64 = 30_000;

/// The longest that a token of the built-in authorization server may live.
const LOCAL_TTL_MAX_MS: u64 = 30 * 60 * 1000;

/// The longest name that is read, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// The most groups that are read.
const GROUPS_MAX: usize = 256;

/// What a token is bound to (RFC 7800): a member that is unknown cannot be confirmed, so it is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// The thumbprint of a key (RFC 9449 §6.1).
    pub(crate) jkt: Option<Box<str>>,
    /// The thumbprint of a certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    pub(crate) x5t: Option<Box<str>>,
}

/// How it is known that an issuer said something of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// By a signature on the token itself.
    Signature,
    /// By its answer to a question (RFC 7662), which may leave out whose the token is and when it ends.
    Answer,
}

/// A token whose claims hold.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) identity: Arc<Identity>,
    pub(crate) confirmation: Confirmation,
    /// Under which names it may have been revoked.
    pub(crate) revocable_as: Vec<String>,
    pub(crate) issued_ms: u64,
    /// When it ends, with leeway.
    pub(crate) until_ms: u64,
}

impl Verified {
    /// A credential that is good because the configuration says so.
    pub(crate) fn configured(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            confirmation: Confirmation::default(),
            revocable_as: Vec::new(),
            issued_ms: 0,
            until_ms: u64::MAX,
        }
    }
}

impl Issuer {
    /// Checks what this issuer says of a token. `digest` stands in for an identifier where the token has none.
    pub(crate) fn check(
        &self,
        claims: &Value,
        vouched: Vouched,
        resource: &ProtectedResource,
        digest: &str,
        now_ms: u64,
    ) -> Result<Verified, Reason> {
        self.check_issuer(claims, vouched)?;
        self.check_audience(claims, resource)?;
        let times = self.check_times(claims, vouched, now_ms)?;
        let subject = name_at(claims, &self.claims.subject).ok_or(Reason::Claims)?;
        let client = match &self.claims.client {
            Some(name) => name_at(claims, name),
            None => name_at(claims, "client_id").or_else(|| name_at(claims, "azp")),
        };
        let id = name_at(claims, "jti");
        if self.is_local() && (client.is_none() || id.is_none()) {
            return Err(Reason::Claims);
        }
        let confirmation = match claims.get("cnf") {
            None => Confirmation::default(),
            Some(cnf) => {
                let cnf = Confirmation::deserialize(cnf).map_err(|_unknown| Reason::Binding)?;
                if cnf == Confirmation::default() {
                    return Err(Reason::Binding);
                }
                cnf
            }
        };
        let revocable_as = self.revocable_as(claims, id, client, subject);
        Ok(Verified {
            identity: Arc::new(Identity {
                subject: subject.into(),
                issuer: Arc::clone(&self.id),
                client: client.map(Into::into),
                groups: self.groups(claims),
                scopes: Some(self.scopes(claims)),
                kind: CredentialKind::AccessToken,
                token_id: id.unwrap_or(digest).into(),
                expires_ms: times.expires_ms,
            }),
            confirmation,
            revocable_as,
            issued_ms: times.issued_ms,
            until_ms: times.expires_ms.map_or(u64::MAX, with_leeway),
        })
    }

    /// Byte for byte.
    fn check_issuer(&self, claims: &Value, vouched: Vouched) -> Result<(), Reason> {
        match claims.get("iss") {
            Some(Value::String(issuer)) if **issuer == *self.id => Ok(()),
            None if vouched == Vouched::Answer => Ok(()),
            _ => Err(Reason::Issuer),
        }
    }

    fn check_audience(&self, claims: &Value, resource: &ProtectedResource) -> Result<(), Reason> {
        let audiences: Vec<&str> = match claims.get("aud") {
            Some(Value::String(audience)) => vec![audience],
            Some(Value::Array(audiences)) => audiences
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or(Reason::Claims)?,
            _ => return Err(Reason::Audience),
        };
        let is_ours = |audience: &&str| {
            *audience == resource.uri() || self.audiences.iter().any(|also| also == audience)
        };
        if !audiences.iter().any(is_ours) {
            return Err(Reason::Audience);
        }
        // A token for two endpoints could be taken from the one to the other.
        let others = |audience: &&str| resource.is_beside(audience) && !is_ours(audience);
        if !self.several_resources && audiences.iter().any(others) {
            return Err(Reason::SeveralAudiences);
        }
        if self.is_local() && audiences.len() != 1 {
            return Err(Reason::SeveralAudiences);
        }
        Ok(())
    }

    fn check_times(&self, claims: &Value, vouched: Vouched, now_ms: u64) -> Result<Times, Reason> {
        let expires_ms = time_at(claims, "exp")?;
        let issued_ms = time_at(claims, "iat")?;
        let from_ms = time_at(claims, "nbf")?;
        match expires_ms {
            Some(expires_ms) if with_leeway(expires_ms) <= now_ms => return Err(Reason::Expired),
            Some(_) => {}
            None if vouched == Vouched::Answer => {}
            None => return Err(Reason::Claims),
        }
        let is_ahead = |time: Option<u64>| time.is_some_and(|time| time > with_leeway(now_ms));
        if is_ahead(from_ms) || is_ahead(issued_ms) {
            return Err(Reason::NotYetValid);
        }
        if self.is_local() {
            let (Some(issued), Some(expires)) = (issued_ms, expires_ms) else {
                return Err(Reason::Claims);
            };
            if expires.saturating_sub(issued) > LOCAL_TTL_MAX_MS {
                return Err(Reason::Claims);
            }
        }
        Ok(Times {
            expires_ms,
            // Unknown is earliest: any revocation reaches it.
            issued_ms: issued_ms.unwrap_or(0),
        })
    }

    /// The names in the table of revocations. Those of another issuer's are told apart by its own name.
    fn revocable_as(
        &self,
        claims: &Value,
        id: Option<&str>,
        client: Option<&str>,
        subject: &str,
    ) -> Vec<String> {
        let mut names = Vec::with_capacity(4);
        let mut add = |kind: &str, name: Option<&str>| {
            if let Some(name) = name {
                names.push(if self.is_local() {
                    format!("{kind}:{name}")
                } else {
                    foreign_revocation(&self.id, kind, name)
                });
            }
        };
        add("jti", id);
        add("client", client);
        add("sub", Some(subject));
        if self.is_local() {
            add("grant", name_at(claims, "grant"));
        }
        names
    }

    fn groups(&self, claims: &Value) -> Box<[Box<str>]> {
        words(value_at(claims, &self.claims.groups))
            .filter(|group| is_name(group))
            .take(GROUPS_MAX)
            .map(Into::into)
            .collect()
    }

    /// What cannot be a scope here is dropped: a token is worth less then, never more.
    fn scopes(&self, claims: &Value) -> Scopes {
        let value = match &self.claims.scope {
            Some(name) => value_at(claims, name),
            None => claims.get("scope").or_else(|| claims.get("scp")),
        };
        let mut scopes = Scopes::new();
        for word in words(value).flat_map(|words| words.split(' ')) {
            let ours: &[String] = match self.scopes.get(word) {
                Some(ours) => ours,
                None if self.scopes.is_empty() => &[word.to_owned()],
                None => continue,
            };
            for scope in ours {
                if let Err(error) = scopes.insert(scope) {
                    tracing::debug!(%error, issuer = %self.id, "a scope is not taken over");
                }
            }
        }
        scopes
    }
}

/// The name under which a token, client or subject of another issuer is revoked; `kind` is `jti`, `client` or `sub`.
pub fn foreign_revocation(issuer: &str, kind: &str, name: &str) -> String {
    format!("{kind}:{issuer} {name}")
}

struct Times {
    expires_ms: Option<u64>,
    issued_ms: u64,
}

fn with_leeway(time_ms: u64) -> u64 {
    time_ms.saturating_add(LEEWAY_MS)
}

/// A time in seconds (RFC 7519 §2, `NumericDate`), in milliseconds.
fn time_at(claims: &Value, name: &str) -> Result<Option<u64>, Reason> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds.saturating_mul(1000)));
    }
    let time = value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(Reason::Claims)?;
    Ok(Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

fn value_at<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') {
        claims.pointer(name)
    } else {
        claims.get(name)
    }
}

fn name_at<'a>(claims: &'a Value, name: &str) -> Option<&'a str> {
    value_at(claims, name)?
        .as_str()
        .filter(|name| is_name(name))
}

/// Whether a text can name somebody: short, and without what would confuse a reader of the record.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// The texts in a list, or the one text.
fn words(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(values)) => (None, Some(values)),
        _ => (None, None),
    };
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}
