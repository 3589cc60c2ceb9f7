//! Where a browser goes after login: a path of this gateway, and nothing else, so that login is no open redirect (RFC 9700 §4.11).

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use url::Url;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{HOME, Login};
use crate::page;
use crate::secret;

/// The longest address that is kept, in bytes.
const BYTES_MAX: usize = 8 * 1024;

/// What the value is sealed for.
const PURPOSE: &str = "login-return";

/// Where a browser goes after login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReturnTo {
    /// A path of this gateway with its query.
    pub(super) path: String,
    /// What `form-action` of the login page has to name, because the path redirects there.
    pub(super) target: Option<String>,
}

impl Login {
    /// Sends a browser to the login, and from there to `return_to`, a path of this gateway with its query; anything else leads
    /// to the account's page. When the path has a `redirect_uri`, which the caller has checked, the login page allows its form to
    /// end in a redirect there.
    pub fn start(&self, return_to: &str) -> Response<Bytes> {
        let Some(path) = local(&self.public_url, return_to) else {
            return page::see_other("/oauth/login");
        };
        let target = self
            .public_url
            .join(&path)
            .ok()
            .and_then(|address| {
                let mut pairs = address.query_pairs();
                pairs.find_map(|(key, value)| (key == "redirect_uri").then(|| value.into_owned()))
            })
            .and_then(|address| Url::parse(&address).ok())
            .map(|address| page::form_target(&address));
        let plain = path.clone();
        let sealed = serde_json::to_vec(&ReturnTo { path, target })
            .ok()
            .and_then(|json| self.vault.seal(PURPOSE, &json).ok())
            .map(|sealed| secret::base64url(&sealed));
        let value = sealed.unwrap_or(plain);
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        page::see_other(&format!("/oauth/login?return={value}"))
    }

    /// What a `return` parameter means: what [`Login::start`] sealed, or a plain path.
    pub(super) fn return_to(&self, text: &str) -> ReturnTo {
        let sealed = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|sealed| self.vault.unseal(PURPOSE, &sealed).ok())
            .and_then(|json| serde_json::from_slice(&json).ok());
        sealed.unwrap_or_else(|| ReturnTo {
            path: local(&self.public_url, text).unwrap_or_else(|| HOME.to_owned()),
            target: None,
        })
    }
}

/// The path and query of `text`, if it is one of this gateway and of no other by any reading.
fn local(base: &Url, text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let begins = text.starts_with('/') && !text.starts_with("//");
    if !begins || text.len() > BYTES_MAX || !text.bytes().all(plain) {
        return None;
    }
    let address = base.join(text).ok()?;
    // `/.//host` becomes `//host` once its dots are resolved.
    if address.origin() != base.origin() || address.path().starts_with("//") {
        return None;
    }
    Some(match address.query() {
        Some(query) => format!("{}?{query}", address.path()),
        None => address.path().to_owned(),
    })
}

#[cfg(test)]
mod tests;
