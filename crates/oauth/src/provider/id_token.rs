//! What an ID token claims, and whether that is so (`OpenID` Connect Core 1.0 §3.1.3.7).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwt::Distrust;
use crate::secret;

/// How much two clocks may differ, in seconds.
const SKEW_S: u64 = 60;

/// How old an ID token may be, in seconds: it answers a login that just was.
const AGE_MAX_S: u64 = 10 * 60;

/// The claims of an ID token.
#[derive(Clone, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    iat: u64,
    nonce: Option<String>,
    azp: Option<String>,
    nbf: Option<u64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Why an ID token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    /// Its form, type, algorithm or signature.
    #[error(transparent)]
    Token(Distrust),
    /// Its key is not one of the provider's.
    #[error("unknown key")]
    Key,
    /// It is another provider's.
    #[error("issuer")]
    Issuer,
    /// It is for another client, or for others too.
    #[error("audience")]
    Audience,
    /// It was issued to another client.
    #[error("authorized party")]
    Party,
    /// It answers another login.
    #[error("nonce")]
    Nonce,
    /// It has expired, is not valid yet, or is too old.
    #[error("expired, or not yet valid")]
    Time,
    /// It does not say who.
    #[error("no subject")]
    Subject,
    /// Its groups cannot be kept.
    #[error("groups")]
    Groups,
}

impl Unbelieved {
    /// The word in the record.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Token(Distrust::Malformed) => "id_token_malformed",
            Self::Token(Distrust::Algorithm) => "id_token_algorithm",
            Self::Token(Distrust::Type) => "id_token_typ",
            Self::Token(Distrust::Critical) => "id_token_crit",
            Self::Token(Distrust::Signature) => "id_token_signature",
            Self::Token(Distrust::Claims) => "id_token_claims",
            Self::Key => "id_token_key",
            Self::Issuer => "id_token_issuer",
            Self::Audience => "id_token_audience",
            Self::Party => "id_token_party",
            Self::Nonce => "id_token_nonce",
            Self::Time => "id_token_time",
            Self::Subject => "id_token_subject",
            Self::Groups => "id_token_groups",
        }
    }
}

impl Claims {
    /// Whether they are this provider's, for this client, for this login, and of now.
    pub(super) fn check(
        &self,
        issuer: &str,
        client_id: &str,
        nonce: &str,
        now_ms: u64,
    ) -> Result<(), Unbelieved> {
        if self.iss != issuer {
            return Err(Unbelieved::Issuer);
        }
        let ours = match &self.aud {
            Audience::One(one) => one == client_id,
            // Nobody else is trusted with a login here (§3.1.3.7, 3).
            Audience::Several(several) => matches!(several.as_slice(), [one] if one == client_id),
        };
        if !ours {
            return Err(Unbelieved::Audience);
        }
        if self.azp.as_deref().is_some_and(|party| party != client_id) {
            return Err(Unbelieved::Party);
        }
        let same = |own: &str| secret::equal(own.as_bytes(), nonce.as_bytes());
        if !self.nonce.as_deref().is_some_and(same) {
            return Err(Unbelieved::Nonce);
        }
        let now = now_ms / 1000;
        let begun = |from: u64| from <= now.saturating_add(SKEW_S);
        let lasts = self.exp.saturating_add(SKEW_S) > now;
        let recent = self.iat.saturating_add(AGE_MAX_S) > now;
        if !lasts || !recent || !begun(self.iat) || !self.nbf.is_none_or(begun) {
            return Err(Unbelieved::Time);
        }
        Ok(())
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.others.get(name)?.as_str()
    }

    /// Whether a claim is true; some providers write it as a text.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match self.others.get(name) {
            Some(Value::Bool(value)) => *value,
            Some(Value::String(value)) => value == "true",
            _ => false,
        }
    }

    /// A claim that is a list of texts. Absent, or behind a link that is not followed (Entra's overage), it is empty.
    pub(super) fn list(&self, name: &str) -> Vec<Box<str>> {
        let Some(Value::Array(values)) = self.others.get(name) else {
            return Vec::new();
        };
        values
            .iter()
            .filter_map(Value::as_str)
            .map(Into::into)
            .collect()
    }
}
