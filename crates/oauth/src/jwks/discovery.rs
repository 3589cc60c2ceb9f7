//! Finds the keys of an issuer by its metadata (RFC 8414 §3, OpenID Connect Discovery §4).

use http::StatusCode;
use portcullis_egress::{Egress, Reach};
use serde::Deserialize;
use url::Url;

use super::fetch::{self, FetchError};

/// Where the keys are, and who may be there.
pub(crate) struct Found {
    pub(crate) address: Url,
    pub(crate) reach: Reach,
}

/// Why an issuer's keys were not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    /// There is no metadata.
    #[error("no metadata of the issuer was found; set `jwks_uri`")]
    None,
    /// It could not be fetched.
    #[error("the issuer's metadata could not be fetched")]
    Fetch(#[source] FetchError),
    /// It is another issuer's.
    #[error("the metadata names another issuer; correct `issuer` to the byte")]
    OtherIssuer,
    /// Its keys are at an address that cannot be used.
    #[error("the metadata's `jwks_uri` is not an address with the security of the issuer's")]
    Address,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Asks `issuer`, whose address an operator wrote, for its metadata. What that says of addresses elsewhere, only the issuer
/// vouches for: they have to be public.
pub(crate) async fn discover(egress: &Egress, issuer: &str) -> Result<Found, DiscoveryError> {
    let base = Url::parse(issuer).map_err(|_invalid| DiscoveryError::Address)?;
    let client = egress.client(Reach::Configured);
    for address in addresses(&base) {
        let answer = match fetch::get(client, &address).await {
            Ok(answer) => answer,
            Err(FetchError::Status(status)) if is_absent(status) => continue,
            Err(error) => return Err(DiscoveryError::Fetch(error)),
        };
        // A page for people at this address says nothing.
        let Ok(metadata) = serde_json::from_slice::<Metadata>(&answer.body) else {
            continue;
        };
        // Byte for byte (RFC 8414 §3.3): whoever serves another's metadata would give its own keys out as the other's.
        if metadata.issuer != issuer {
            return Err(DiscoveryError::OtherIssuer);
        }
        let address = Url::parse(&metadata.jwks_uri).map_err(|_invalid| DiscoveryError::Address)?;
        if base.scheme() == "https" && address.scheme() != "https" {
            return Err(DiscoveryError::Address);
        }
        let reach = if address.origin() == base.origin() {
            Reach::Configured
        } else {
            Reach::Public
        };
        return Ok(Found { address, reach });
    }
    Err(DiscoveryError::None)
}

fn is_absent(status: StatusCode) -> bool {
    status.is_client_error() || status.is_redirection()
}

/// Where metadata may be, in order: path inserted as RFC 8414 has it, the same for OpenID, and OpenID's own appended form.
fn addresses(issuer: &Url) -> Vec<String> {
    let origin = issuer.origin().ascii_serialization();
    let path = issuer.path().trim_end_matches('/');
    let mut addresses = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        addresses.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    addresses
}
