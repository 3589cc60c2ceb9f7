//! Finds out who sends a request. Every request is authenticated by itself.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_pipeline::{Principal, PrincipalKind};

use crate::config::Client;

/// Shortest bearer token accepted in the configuration, in characters.
const TOKEN_CHARS_MIN: usize = 32;

/// Knows the clients that may enter.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// By SHA-256 of the token, so that a look-up tells nothing about a token by its timing. With
    /// no entry, whoever reaches the listener is `local`.
    clients: HashMap<[u8; 32], Principal>,
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
    pub(crate) fn build(clients: &BTreeMap<String, Client>) -> Result<Self, InvalidClient> {
        let mut by_digest: HashMap<[u8; 32], Principal> = HashMap::new();
        for (name, client) in clients {
            if client.token.chars().count() < TOKEN_CHARS_MIN {
                return Err(InvalidClient::ShortToken(name.clone()));
            }
            let principal = Principal {
                name: name.as_str().into(),
                kind: PrincipalKind::Token,
            };
            if let Some(other) = by_digest.insert(sha256(client.token.as_bytes()), principal) {
                return Err(InvalidClient::SameToken(
                    other.name.to_string(),
                    name.clone(),
                ));
            }
        }
        let local = Principal {
            name: "local".into(),
            kind: PrincipalKind::Local,
        };
        Ok(Self {
            clients: by_digest,
            local,
        })
    }

    /// Whether clients have to show a token.
    pub(crate) fn is_required(&self) -> bool {
        !self.clients.is_empty()
    }

    /// The principal that a request's header names (RFC 6750 §2.1).
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Unauthenticated> {
        if self.clients.is_empty() {
            return Ok(self.local.clone());
        }
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = fields.next().ok_or(Unauthenticated::Missing)?;
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
