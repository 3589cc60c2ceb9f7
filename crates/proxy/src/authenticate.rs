//! Finds out who sends a request. Every request is authenticated by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use portcullis_oauth::identity::Identity;
use portcullis_oauth::resource::has_token_in_query;
use portcullis_oauth::verifier::Refused;
use portcullis_pipeline::{Principal, PrincipalKind, Timestamp};

use crate::access::Access;
use crate::config::{Client, WithoutCredential};
use crate::peer::Peer;
use crate::route::Route;

/// Shortest bearer token accepted in the configuration, in characters.
const TOKEN_CHARS_MIN: usize = 32;

/// Knows the clients that may enter.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// `None` where there is no listener.
    access: Option<Arc<Access>>,
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

/// Who has entered.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    pub(crate) principal: Principal,
    /// What an issuer says of it; none for who is known by the configuration, or by being here.
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Entrant {
    pub(crate) fn known(principal: Principal) -> Self {
        Self {
            principal,
            identity: None,
        }
    }
}

/// The request carries no valid credential.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unauthenticated {
    /// A token in the address, where logs and histories keep it.
    InQuery,
    /// Nobody can be known here.
    Unknown,
    /// What was shown does not hold, or nothing was.
    Refused(Refused),
}

impl Authenticator {
    pub(crate) fn build(
        clients: &BTreeMap<String, Client>,
        without_credential: WithoutCredential,
        access: Option<Arc<Access>>,
    ) -> Result<Self, InvalidClient> {
        let mut by_digest: HashMap<[u8; 32], Principal> = HashMap::new();
        for (name, client) in clients {
            if client.token.chars().count() < TOKEN_CHARS_MIN {
                return Err(InvalidClient::ShortToken(name.clone()));
            }
            let principal = Principal::new(name.as_str(), PrincipalKind::Token)
                .in_groups(client.groups.iter().cloned().collect());
            if let Some(other) = by_digest.insert(sha256(client.token.as_bytes()), principal) {
                return Err(InvalidClient::SameToken(
                    other.name.to_string(),
                    name.clone(),
                ));
            }
        }
        let local = Principal::new("local", PrincipalKind::Local);
        Ok(Self {
            access,
            clients: by_digest,
            without_credential,
            local,
        })
    }

    /// Whether anybody has a credential to show.
    pub(crate) fn knows_anybody(&self) -> bool {
        !self.clients.is_empty()
            || self
                .access
                .as_ref()
                .is_some_and(|access| access.has_issuers())
    }

    /// The pages and documents by which clients get a credential.
    pub(crate) fn access(&self) -> Option<&Arc<Access>> {
        self.access.as_ref()
    }

    /// Who sends a request to an endpoint. Every request is authenticated by itself.
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        parts: &Parts,
        route: &Route,
        now: Timestamp,
    ) -> Result<Entrant, Unauthenticated> {
        if has_token_in_query(&parts.uri) {
            return Err(Unauthenticated::InQuery);
        }
        let headers = &parts.headers;
        if !headers.contains_key(AUTHORIZATION) && peer.certificate.is_none() {
            let may_enter = match self.without_credential {
                WithoutCredential::Nobody => false,
                WithoutCredential::SameUser => peer.is_same_user().await,
                WithoutCredential::DangerouslyAnyone => peer.ip().is_loopback(),
            };
            if may_enter {
                return Ok(Entrant::known(self.local.clone()));
            }
        }
        if let Some(principal) = self.client(headers) {
            return Ok(Entrant::known(principal.clone()));
        }
        let Some(access) = &self.access else {
            return Err(Unauthenticated::Unknown);
        };
        match access
            .verify(peer, &parts.method, headers, route, now.0)
            .await
        {
            Ok(identity) => Ok(Entrant {
                principal: access.principal(&identity),
                identity: Some(identity),
            }),
            Err(refused) => Err(Unauthenticated::Refused(refused)),
        }
    }

    /// The client of the configuration whose token a request shows (RFC 6750 §2.1).
    fn client(&self, headers: &HeaderMap) -> Option<&Principal> {
        if self.clients.is_empty() {
            return None;
        }
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return None;
        };
        let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return None;
        }
        self.clients
            .get(&sha256(token.trim_start_matches(' ').as_bytes()))
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
