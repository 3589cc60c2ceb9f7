//! Chooses the scopes of a request for a token.

use crate::client::discovery::Discovered;
use crate::client::renew::is_interactive;
use crate::client::{Remembered, Server};
use crate::scope::{SCOPES_MAX, Scopes};

/// The scope of a refresh token (OpenID Connect Core 1.0 §11).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// What is asked for: what the operator wrote, else what the challenge named, else all that the resource supports, else
/// nothing in particular; and always what was asked for before.
pub(crate) fn choose_scopes(server: &Server, found: &Discovered, asked: &Remembered) -> Scopes {
    let challenged = asked.challenge.scopes.as_ref();
    let first = server
        .auth
        .scopes()
        .or(challenged)
        .or(asked.wanted.as_ref())
        .or(found.scopes_supported.as_ref());
    let mut scopes = first.cloned().unwrap_or_default();
    if !is_interactive(server) {
        // An operator's list is the most that the gateway asks for by itself.
        if server.auth.scopes().is_none()
            && let Some(wanted) = &asked.wanted
        {
            scopes = scopes.union(wanted);
        }
        return scopes;
    }
    for more in [
        asked.wanted.as_ref(),
        challenged.filter(|_| asked.wanted.is_some()),
    ] {
        scopes = more.map_or(scopes.clone(), |more| scopes.union(more));
    }
    with_offline_access(&scopes, &found.authorization_server.scopes_supported)
}

/// A refresh token has a scope of its own where the authorization server knows it, and nowhere else; alone it would stand for
/// nothing.
fn with_offline_access(scopes: &Scopes, supported: &[String]) -> Scopes {
    let mut chosen: Vec<&str> = scopes.iter().filter(|it| *it != OFFLINE_ACCESS).collect();
    let known = supported.iter().any(|it| it == OFFLINE_ACCESS);
    if known && !chosen.is_empty() && chosen.len() < SCOPES_MAX {
        chosen.push(OFFLINE_ACCESS);
    }
    // INVARIANT: each was a scope before, and there are not too many.
    chosen.join(" ").parse().unwrap_or_default()
}
