//! Cookies (RFC 6265): their names and attributes.

use bytes::Bytes;
use http::Response;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

/// The cookie of a session.
pub(super) const SESSION: &str = "session";

/// The cookie of a browser that has logged in before.
pub(super) const DEVICE: &str = "device";

/// The cookie of a browser that is about to log in.
pub(super) const VISITOR: &str = "login";

/// The cookie of a login through a provider.
pub(super) const PROVIDER: &str = "provider";

/// How cookies are written for this gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookies {
    https: bool,
}

impl Cookies {
    pub(super) fn new(public_url: &Url) -> Self {
        Self {
            https: public_url.scheme() == "https",
        }
    }

    /// The value of a cookie. There is none when it came twice: one of the two is not ours.
    pub(super) fn read<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.name(name);
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    /// Sets a cookie whose value is base64url.
    pub(super) fn set(
        self,
        response: &mut Response<Bytes>,
        name: &str,
        value: &str,
        max_age_s: u64,
    ) {
        let name = self.name(name);
        let secure = if self.https { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={max_age_s}{secure}; HttpOnly; SameSite=Lax");
        match HeaderValue::try_from(cookie) {
            Ok(mut cookie) => {
                cookie.set_sensitive(true);
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            Err(error) => tracing::error!(%error, "a cookie could not be written"),
        }
    }

    /// Takes a cookie away.
    pub(super) fn clear(self, response: &mut Response<Bytes>, name: &str) {
        self.set(response, name, "", 0);
    }

    /// On https no other host, and no page in plain text, can set a cookie of this name.
    fn name(self, name: &str) -> String {
        let prefix = if self.https { "__Host-" } else { "" };
        format!("{prefix}portcullis-{name}")
    }
}

#[cfg(test)]
mod tests;
