//! Forms: their fields, and whether it was a page of ours that sent them.

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use url::Url;
use zeroize::Zeroizing;

/// The largest form, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// The most fields.
const FIELDS_MAX: usize = 16;

/// The fields of a form.
#[derive(Debug)]
pub struct Form(Vec<(String, Zeroizing<String>)>);

/// A form that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidForm {
    /// Another site sent it.
    #[error("the form was not sent by a page of this gateway; open the page again")]
    Foreign,
    /// It is none, too large, or names a field twice.
    #[error("the form cannot be read; go back and try again")]
    Unreadable,
}

impl Form {
    /// The form that a request holds, if a page of ours made it, as far as the browser says. A token in it has to prove the rest.
    pub fn of_own_page(request: &Request<Bytes>, public_url: &Url) -> Result<Self, InvalidForm> {
        if !is_same_origin(request.headers(), public_url) {
            return Err(InvalidForm::Foreign);
        }
        Self::parse(request)
    }

    /// The value of a field; empty when it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    fn parse(request: &Request<Bytes>) -> Result<Self, InvalidForm> {
        let essence = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        let is_form = essence
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded");
        if !is_form || request.body().len() > BYTES_MAX {
            return Err(InvalidForm::Unreadable);
        }
        let mut fields: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (key, value) in url::form_urlencoded::parse(request.body()) {
            // Two values for one field: somebody hopes that two readers differ.
            if fields.len() >= FIELDS_MAX || fields.iter().any(|(other, _)| *other == key) {
                return Err(InvalidForm::Unreadable);
            }
            fields.push((key.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(fields))
    }
}

/// Whether a page of ours sent a form, as far as the browser says (Fetch Metadata). Under `Referrer-Policy: no-referrer` an old
/// browser names the origin `null`; then, and when it says nothing, the token alone decides.
fn is_same_origin(headers: &HeaderMap, public_url: &Url) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match headers.get(ORIGIN) {
        None => true,
        Some(origin) => {
            origin == "null"
                || origin.as_bytes() == public_url.origin().ascii_serialization().as_bytes()
        }
    }
}

#[cfg(test)]
mod tests;
