//! Finds a server's authorization server: protected resource metadata (RFC 9728), then authorization server metadata
//! (RFC 8414) or its OpenID Connect twin.
//!
//! Nothing is believed that does not say of itself what it was asked for: the resource is the server's, the issuer is the one
//! whose address was built, byte for byte.

use bytes::Bytes;
use portcullis_egress::Egress;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::fetch::{self, DocumentError, FetchError, Trust};
use crate::scope::{Scopes, check_scope};

/// How many authorization servers, methods or scopes of a document are looked at.
const ITEMS_MAX: usize = 64;

/// A server's protected resource and its authorization server.
#[derive(Clone, Debug)]
pub(crate) struct Discovered {
    /// The resource's identifier, as it was published.
    pub(crate) resource: String,
    /// What the resource supports.
    pub(crate) scopes_supported: Option<Scopes>,
    pub(crate) authorization_server: AuthorizationServer,
}

/// An authorization server's metadata (RFC 8414 §2), as far as a client needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuthorizationServer {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Url,
    pub(crate) registration_endpoint: Option<Url>,
    #[serde(default)]
    pub(crate) scopes_supported: Vec<String>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(crate) client_id_metadata_document_supported: bool,
    #[serde(default)]
    pub(crate) dpop_signing_alg_values_supported: Vec<String>,
}

/// Why a server's authorization server is not known.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// A document could not be fetched.
    #[error("the {what} could not be fetched")]
    Fetch {
        /// Which document.
        what: &'static str,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// A document is absent where it was announced.
    #[error("there is no {0} where it should be")]
    Absent(&'static str),
    /// A document is no JSON of the right shape.
    #[error("the {what} is malformed")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// RFC 9728 §3.3.
    #[error("the protected resource metadata is for another resource than the server")]
    Resource,
    /// RFC 8414 §3.3.
    #[error("the authorization server metadata names another issuer than was asked for")]
    Issuer,
    /// The server names no authorization server, or not the one that is configured.
    #[error("the server does not name the configured authorization server")]
    Unlisted,
    /// An authorization endpoint of another site, whose answers could not be told from that site's own.
    #[error(
        "the authorization endpoint is of another site than the issuer, which does not name itself in its answers"
    )]
    MixUp,
    /// An authorization endpoint that does something when it is pasted.
    #[error("the authorization endpoint has characters that a shell could take for commands")]
    Unprintable,
    /// An endpoint that may not be asked.
    #[error("the authorization server metadata has an endpoint that may not be used")]
    Endpoint(#[source] FetchError),
}

impl DiscoveryError {
    /// A stable word for records.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Fetch { .. } | Self::Absent(_) => "metadata_unavailable",
            Self::Malformed { .. } => "metadata_malformed",
            Self::Resource => "resource_mismatch",
            Self::Issuer => "issuer_mismatch",
            Self::Unlisted => "authorization_server_unlisted",
            Self::MixUp | Self::Unprintable | Self::Endpoint(_) => "endpoint_refused",
        }
    }
}

const RESOURCE: &str = "protected resource metadata";
const SERVER: &str = "authorization server metadata";
const RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource";
const OAUTH_PATH: &str = "/.well-known/oauth-authorization-server";
const OPENID_PATH: &str = "/.well-known/openid-configuration";

/// A document of protected resource metadata (RFC 9728 §2).
#[derive(Debug, Deserialize)]
struct ResourceDocument {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

/// Finds out about `server`. `announced` is what its challenge said of its metadata's place, `pin` the issuer that an operator
/// wrote.
pub(crate) async fn discover(
    egress: &Egress,
    trust: &Trust,
    server: &Url,
    announced: Option<&str>,
    pin: Option<&str>,
) -> Result<Discovered, DiscoveryError> {
    let Some(document) = resource_document(egress, trust, server, announced).await? else {
        return legacy(egress, trust, server, pin).await;
    };
    if !covers(&document.resource, server) {
        return Err(DiscoveryError::Resource);
    }
    let mut listed = document.authorization_servers.iter().take(ITEMS_MAX);
    let issuer = match pin {
        Some(pin) => listed.find(|it| *it == pin),
        None => listed.next(),
    };
    let issuer = issuer.ok_or(DiscoveryError::Unlisted)?;
    let authorization_server = authorization_server(egress, trust, issuer).await?;
    Ok(Discovered {
        resource: document.resource,
        scopes_supported: document.scopes_supported.map(|them| scopes(&them)),
        authorization_server,
    })
}

/// A server without protected resource metadata, as of revision 2025-03-26: its own origin is the issuer, and has default
/// endpoints where it has no metadata.
async fn legacy(
    egress: &Egress,
    trust: &Trust,
    server: &Url,
    pin: Option<&str>,
) -> Result<Discovered, DiscoveryError> {
    let mut resource = server.clone();
    resource.set_fragment(None);
    let resource = resource.to_string();
    if let Some(pin) = pin {
        let authorization_server = authorization_server(egress, trust, pin).await?;
        return Ok(Discovered {
            resource,
            scopes_supported: None,
            authorization_server,
        });
    }
    let issuer = server.origin().ascii_serialization();
    let url = at(server, OAUTH_PATH, "");
    let authorization_server = match fetched(egress, trust, &url, SERVER).await? {
        Some(document) => read(&document, &issuer, trust)?,
        None => AuthorizationServer {
            authorization_endpoint: Some(at(server, "/authorize", "")),
            token_endpoint: at(server, "/token", ""),
            registration_endpoint: Some(at(server, "/register", "")),
            scopes_supported: Vec::new(),
            token_endpoint_auth_methods_supported: None,
            code_challenge_methods_supported: vec!["S256".to_owned()],
            authorization_response_iss_parameter_supported: false,
            client_id_metadata_document_supported: false,
            dpop_signing_alg_values_supported: Vec::new(),
            issuer,
        },
    };
    Ok(Discovered {
        resource,
        scopes_supported: None,
        authorization_server,
    })
}

async fn resource_document(
    egress: &Egress,
    trust: &Trust,
    server: &Url,
    announced: Option<&str>,
) -> Result<Option<ResourceDocument>, DiscoveryError> {
    let malformed = |source| DiscoveryError::Malformed {
        what: RESOURCE,
        source,
    };
    if let Some(announced) = announced {
        let url = trust
            .parse(announced)
            .map_err(|source| DiscoveryError::Fetch {
                what: RESOURCE,
                source: source.into(),
            })?;
        let found = fetched(egress, trust, &url, RESOURCE).await?;
        let bytes = found.ok_or(DiscoveryError::Absent(RESOURCE))?;
        return serde_json::from_slice(&bytes).map(Some).map_err(malformed);
    }
    let path = server.path().trim_end_matches('/');
    let mut places = vec![at(server, RESOURCE_PATH, path)];
    if !path.is_empty() {
        places.push(at(server, RESOURCE_PATH, ""));
    }
    for url in places {
        if let Some(bytes) = fetched(egress, trust, &url, RESOURCE).await? {
            return serde_json::from_slice(&bytes).map(Some).map_err(malformed);
        }
    }
    Ok(None)
}

/// The metadata of `issuer` (RFC 8414 §3.1; the last place is that of OpenID Connect Discovery 1.0 §4).
async fn authorization_server(
    egress: &Egress,
    trust: &Trust,
    issuer: &str,
) -> Result<AuthorizationServer, DiscoveryError> {
    let url = trust.parse(issuer).map_err(DiscoveryError::Endpoint)?;
    if url.query().is_some() {
        return Err(DiscoveryError::Issuer);
    }
    let path = url.path().trim_end_matches('/');
    let mut places = vec![at(&url, OAUTH_PATH, path), at(&url, OPENID_PATH, path)];
    if !path.is_empty() {
        places.push(at(&url, path, OPENID_PATH));
    }
    for place in places {
        if let Some(bytes) = fetched(egress, trust, &place, SERVER).await? {
            return read(&bytes, issuer, trust);
        }
    }
    Err(DiscoveryError::Absent(SERVER))
}

fn read(bytes: &[u8], issuer: &str, trust: &Trust) -> Result<AuthorizationServer, DiscoveryError> {
    let found: AuthorizationServer =
        serde_json::from_slice(bytes).map_err(|source| DiscoveryError::Malformed {
            what: SERVER,
            source,
        })?;
    if found.issuer != issuer {
        return Err(DiscoveryError::Issuer);
    }
    if let Some(endpoint) = &found.authorization_endpoint
        && !endpoint.as_str().bytes().all(is_harmless)
    {
        return Err(DiscoveryError::Unprintable);
    }
    let endpoints = [
        found.authorization_endpoint.as_ref(),
        Some(&found.token_endpoint),
        found.registration_endpoint.as_ref(),
    ];
    for endpoint in endpoints.into_iter().flatten() {
        trust
            .parse(endpoint.as_str())
            .map_err(DiscoveryError::Endpoint)?;
    }
    // Who names another's endpoint as its own gets the code that the other gives (RFC 9700 §4.4), unless the answer says who
    // gave it (RFC 9207).
    if let Some(endpoint) = &found.authorization_endpoint
        && !found.authorization_response_iss_parameter_supported
        && !Url::parse(issuer).is_ok_and(|issuer| is_same_site(&issuer, endpoint))
    {
        return Err(DiscoveryError::MixUp);
    }
    Ok(found)
}

/// Whether two addresses are of one holder: of one registrable domain, or, where there is none, of one origin.
fn is_same_site(one: &Url, other: &Url) -> bool {
    let site = |url: &Url| {
        let domain = psl::domain(url.domain()?.as_bytes())?;
        // What is in no list is nobody's for certain.
        domain
            .suffix()
            .is_known()
            .then(|| domain.as_bytes().to_vec())
    };
    match (site(one), site(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.origin() == other.origin(),
    }
}

/// Whether a character of an address cannot begin a command where the address is pasted into a shell, quoted or not. It is shown
/// to people, who paste it where they like; `&`, which separates parameters, is in every such address anyway.
fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@&+,=%*".contains(&byte)
}

async fn fetched(
    egress: &Egress,
    trust: &Trust,
    url: &Url,
    what: &'static str,
) -> Result<Option<Bytes>, DiscoveryError> {
    fetch::document(egress, trust, url)
        .await
        .map_err(|source| DiscoveryError::Fetch { what, source })
}

/// `base` with the path `a` and then `b`, without query and fragment.
fn at(base: &Url, a: &str, b: &str) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{a}{b}"));
    url
}

/// Whether the resource `identifier` is `server`, or the part of its origin that `server` is in.
pub(crate) fn covers(identifier: &str, server: &Url) -> bool {
    let Ok(resource) = Url::parse(identifier) else {
        return false;
    };
    if resource.origin() != server.origin()
        || !resource.origin().is_tuple()
        || resource.fragment().is_some()
        || !resource.username().is_empty()
        || resource.password().is_some()
        || (resource.query().is_some() && resource.query() != server.query())
    {
        return false;
    }
    let prefix = resource.path().trim_end_matches('/');
    server
        .path()
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Those of a list that are scopes.
fn scopes(list: &[String]) -> Scopes {
    let mut scopes = Scopes::new();
    for scope in list.iter().take(ITEMS_MAX) {
        if check_scope(scope).is_ok() && scopes.insert(scope).is_err() {
            break;
        }
    }
    scopes
}

#[cfg(test)]
mod tests;
