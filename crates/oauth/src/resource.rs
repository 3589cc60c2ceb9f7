//! A protected resource (RFC 9728): one MCP endpoint of the gateway, which tokens are for (RFC 8707).

use http::Uri;
use url::{Url, form_urlencoded};

/// What stands before a resource's own path in the address of its metadata (RFC 9728 §3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A protected resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProtectedResource {
    uri: Box<str>,
    metadata_url: Box<str>,
    origin: Box<str>,
}

impl ProtectedResource {
    /// The endpoint at `path`, such as `/servers/files/mcp`, of the gateway whose base is `public_url`.
    pub fn new(public_url: &Url, path: &str) -> Self {
        let origin = public_url.origin().ascii_serialization();
        Self {
            uri: format!("{origin}{path}").into(),
            metadata_url: format!("{origin}{WELL_KNOWN}{path}").into(),
            origin: origin.into(),
        }
    }

    /// Its identifier: the only audience of a token for it, and the `htu` of a proof for it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Where its metadata is.
    pub fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// The path at which its metadata is served.
    pub fn metadata_path(&self) -> &str {
        self.metadata_url
            .strip_prefix(&*self.origin)
            .unwrap_or(WELL_KNOWN)
    }

    /// Whether `audience` is a resource of the same gateway, this one included.
    pub(crate) fn is_beside(&self, audience: &str) -> bool {
        audience
            .strip_prefix(&*self.origin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Whether an address holds an access token, as RFC 6750 §2.3 allowed and RFC 9700 §2.4 forbids. Such a request is refused, and
/// its address is not logged.
pub fn has_token_in_query(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        form_urlencoded::parse(query.as_bytes())
            .any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
    })
}

#[cfg(test)]
mod tests;
