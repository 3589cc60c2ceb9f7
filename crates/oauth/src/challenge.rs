//! Challenges (RFC 9110 §11.6.1): what a client is told when its credential does not suffice.
//!
//! `Bearer` as in RFC 6750 §3 with the address of the metadata as in RFC 9728 §5.1, and `DPoP` as in RFC 9449 §7.1.

use http::HeaderValue;

use crate::dpop::{ALGORITHM_NAMES, Mode};
use crate::resource::ProtectedResource;
use crate::scope::Scopes;

/// A challenge, or two where tokens may be bound to a key or not.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// What was asked for.
    pub resource: &'a ProtectedResource,
    /// What was wrong.
    pub problem: Problem,
    /// All scopes that the operation needs, or that a client should ask for first.
    pub scopes: &'a Scopes,
    /// Which schemes there are.
    pub dpop: Mode,
    /// The scheme that the client used.
    pub used: Scheme,
}

/// A way to show an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Whoever holds the token may use it (RFC 6750).
    Bearer,
    /// The token is bound to a key, and comes with a proof (RFC 9449).
    Dpop,
}

/// What was wrong with a request. The descriptions are fixed texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It had no credential.
    Missing,
    /// It was malformed: `invalid_request`.
    InvalidRequest(&'static str),
    /// Its token is not believed: `invalid_token`.
    InvalidToken(&'static str),
    /// Its token does not go far enough: `insufficient_scope`.
    InsufficientScope,
    /// Its proof is not believed: `invalid_dpop_proof`.
    InvalidDpopProof(&'static str),
    /// Its proof has to hold a nonce: `use_dpop_nonce`.
    UseDpopNonce,
}

impl Problem {
    fn error(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Missing => return None,
            Self::InvalidRequest(text) => ("invalid_request", text),
            Self::InvalidToken(text) => ("invalid_token", text),
            Self::InsufficientScope => (
                "insufficient_scope",
                "the access token lacks a scope that this needs",
            ),
            Self::InvalidDpopProof(text) => ("invalid_dpop_proof", text),
            Self::UseDpopNonce => ("use_dpop_nonce", "the proof has to hold the nonce given"),
        })
    }
}

impl Challenge<'_> {
    /// The values of `WWW-Authenticate`, the preferred first.
    pub fn values(&self) -> Vec<HeaderValue> {
        let schemes: &[Scheme] = match self.dpop {
            Mode::Off => &[Scheme::Bearer],
            Mode::Accepted => &[Scheme::Bearer, Scheme::Dpop],
            Mode::Required => &[Scheme::Dpop],
        };
        schemes.iter().map(|scheme| self.value(*scheme)).collect()
    }

    fn value(&self, scheme: Scheme) -> HeaderValue {
        let mut text = String::from(match scheme {
            Scheme::Bearer => "Bearer ",
            Scheme::Dpop => "DPoP ",
        });
        // The error belongs to the scheme that was used; the other one is only offered. Where there is no other, it has the error.
        let concerned = scheme == self.used || self.dpop != Mode::Accepted;
        if concerned && let Some((error, description)) = self.problem.error() {
            parameter(&mut text, "error", error);
            parameter(&mut text, "error_description", description);
        }
        if !self.scopes.is_empty() {
            parameter(&mut text, "scope", &self.scopes.to_string());
        }
        parameter(&mut text, "resource_metadata", self.resource.metadata_url());
        if scheme == Scheme::Dpop {
            parameter(&mut text, "algs", &ALGORITHM_NAMES.join(" "));
        }
        // INVARIANT: `parameter` lets only visible ASCII and spaces in.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// Appends `name="value"`, with the value as a quoted string (RFC 9110 §5.6.4).
fn parameter(text: &mut String, name: &str, value: &str) {
    if text.ends_with('"') {
        text.push_str(", ");
    }
    text.push_str(name);
    text.push_str("=\"");
    for char in value.chars().filter(|char| matches!(char, ' '..='~')) {
        if matches!(char, '"' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
}

#[cfg(test)]
mod tests;
