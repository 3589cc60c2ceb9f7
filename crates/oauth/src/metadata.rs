//! Metadata of a protected resource (RFC 9728): where tokens for it come from.

use serde::Serialize;

use crate::dpop::{ALGORITHM_NAMES, Mode};
use crate::resource::ProtectedResource;
use crate::scope::Scopes;

/// What the metadata of a resource says beside its name.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The issuers of the authorization servers whose tokens are accepted; the first is what most clients use.
    pub authorization_servers: &'a [&'a str],
    /// The scopes that a client may need here.
    pub scopes: &'a Scopes,
    /// Whether tokens may, or must, be bound to a key.
    pub dpop: Mode,
    /// Whether tokens may be bound to a client certificate (RFC 8705 §3.3).
    pub mutual_tls: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: &'a [&'a str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dpop_signing_alg_values_supported: &'static [&'static str],
    #[serde(skip_serializing_if = "is_false")]
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_client_certificate_bound_access_tokens: bool,
}

/// The document, as JSON. `offline_access` is not a scope of a resource and left out.
pub fn document(resource: &ProtectedResource, facts: &Facts<'_>) -> Vec<u8> {
    let document = Document {
        resource: resource.uri(),
        authorization_servers: facts.authorization_servers,
        scopes_supported: facts
            .scopes
            .iter()
            .filter(|scope| *scope != "offline_access")
            .collect(),
        bearer_methods_supported: ["header"],
        dpop_signing_alg_values_supported: match facts.dpop {
            Mode::Off => &[],
            Mode::Accepted | Mode::Required => &ALGORITHM_NAMES,
        },
        dpop_bound_access_tokens_required: facts.dpop == Mode::Required,
        tls_client_certificate_bound_access_tokens: facts.mutual_tls,
    };
    // INVARIANT: strings, lists and booleans always serialise.
    serde_json::to_vec(&document).unwrap_or_default()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests;
