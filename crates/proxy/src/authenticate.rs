//! Finds out who sends a request. Every request is authenticated by itself.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use portcullis_pipeline::{Principal, PrincipalKind};

use crate::config::{Client, WithoutCredential};
use crate::peer::Peer;
use crate::route::Route;

/// Shortest bearer token accepted in the configuration, in characters.
const TOKEN_CHARS_MIN: usize = 32;

/// Knows the clients that may enter.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// By SHA-256 of the token, so that a look-up tells nothing about a token by its timing.
    clients: HashMap<[u8; 32], Principal>,
    without_credential: WithoutCredential,
    local: Principal,
}

/// A client in the configuration that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidClient {
    /// Short tokens can be guessed.
    #[error(
        "the token of client `{0}` has fewer than 32 characters; make one with `openssl rand -hex 32`"
    )]
    ShortToken(String),
    /// One token, two clients.
    #[error("clients `{0}` and `{1}` have the same token; give each its own")]
    SameToken(String, String),
}

/// The request carries no valid credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unauthenticated {
    Missing,
    Invalid,
}

impl Authenticator {
    pub(crate) fn build(
        clients: &BTreeMap<String, Client>,
        without_credential: WithoutCredential,
    ) -> Result<Self, InvalidClient> {
        let mut by_digest: HashMap<[u8; 32], Principal> = HashMap::new();
        for (name, client) in clients {
            if client.token.chars().count() < TOKEN_CHARS_MIN {
                return Err(InvalidClient::ShortToken(name.clone()));
            }
            let principal = Principal::new(name.as_str(), PrincipalKind::Token);
            if let Some(other) = by_digest.insert(sha256(client.token.as_bytes()), principal) {
                return Err(InvalidClient::SameToken(
                    other.name.to_string(),
                    name.clone(),
                ));
            }
        }
        let local = Principal::new("local", PrincipalKind::Local);
        Ok(Self {
            clients: by_digest,
            without_credential,
            local,
        })
    }

    /// Whether anybody has a credential to show.
    pub(crate) fn knows_anybody(&self) -> bool {
        !self.clients.is_empty()
    }

    /// What a client that lacks scopes on an endpoint is asked for.
    pub(crate) fn challenge_scope(&self, _route: &Route, _needed: &str) -> Option<HeaderValue> {
        None
    }

    /// The principal that a request's header names (RFC 6750 §2.1).
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<Principal, Unauthenticated> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let Some(field) = fields.next() else {
            let may_enter = match self.without_credential {
                WithoutCredential::Nobody => false,
                WithoutCredential::SameUser => peer.is_same_user().await,
                WithoutCredential::DangerouslyAnyone => peer.ip().is_loopback(),
            };
            return if may_enter {
                Ok(self.local.clone())
            } else {
                Err(Unauthenticated::Missing)
            };
        };
        if fields.next().is_some() {
            return Err(Unauthenticated::Invalid);
        }
        let (scheme, token) = field
            .to_str()
            .ok()
            .and_then(|f| f.split_once(' '))
            .ok_or(Unauthenticated::Invalid)?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Unauthenticated::Invalid);
        }
        let digest = sha256(token.trim_start_matches(' ').as_bytes());
        self.clients
            .get(&digest)
            .cloned()
            .ok_or(Unauthenticated::Invalid)
    }
}

/// SHA-256 (FIPS 180-4).
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests;
