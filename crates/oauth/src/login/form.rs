//! Forms: their fields, and whether it was one of our own pages that sent them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use http::{Request, Response};
use url::Url;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::{Login, Visit, cookie};
use crate::secret;

/// The largest form, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// The most fields.
const FIELDS_MAX: usize = 16;

/// How long a page may stand before its form is sent, in seconds.
const VISITOR_S: u64 = 60 * 60;

/// The fields of a form.
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

/// A browser that is not logged in, known by a random cookie.
pub(super) struct Visitor {
    pub(super) id: Zeroizing<String>,
    fresh: bool,
}

impl Form {
    /// The value of a field; empty when it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    fn parse(request: &Request<Bytes>) -> Result<Self, Refusal> {
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
            return Err(Refusal::Form);
        }
        let mut fields: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (key, value) in url::form_urlencoded::parse(request.body()) {
            // Two values for one field: somebody hopes that two readers differ.
            if fields.len() >= FIELDS_MAX || fields.iter().any(|(other, _)| *other == key) {
                return Err(Refusal::Form);
            }
            fields.push((key.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(fields))
    }
}

impl Visitor {
    /// What every form that this browser sends has to carry.
    pub(super) fn csrf(&self) -> String {
        csrf(&self.id)
    }
}

impl Login {
    /// The browser behind a visit; a new one gets a cookie by [`Login::keep`].
    pub(super) fn visitor(&self, visit: &Visit) -> Result<Visitor, Refusal> {
        match self.cookies.read(visit.headers(), cookie::VISITOR) {
            // INVARIANT: only a value of the size that was given out; it is hashed, never shown.
            Some(id) if id.len() == 43 => Ok(Visitor {
                id: Zeroizing::new(id.to_owned()),
                fresh: false,
            }),
            _ => Ok(Visitor {
                id: secret::generate("")?,
                fresh: true,
            }),
        }
    }

    /// Gives a new browser its cookie.
    pub(super) fn keep(&self, visitor: &Visitor, response: &mut Response<Bytes>) {
        if visitor.fresh {
            self.cookies
                .set(response, cookie::VISITOR, &visitor.id, VISITOR_S);
        }
    }

    /// The form that a browser sent which is not logged in, if one of our pages made it send it.
    pub(super) fn visitor_form(&self, visit: &Visit) -> Result<(Visitor, Form), Refusal> {
        let visitor = self.visitor(visit)?;
        if visitor.fresh {
            return Err(Refusal::Forged);
        }
        let form = self.form(visit, &visitor.csrf())?;
        Ok((visitor, form))
    }

    /// The form of a visit, if one of our pages made it, with the token `csrf` in it.
    pub(super) fn form(&self, visit: &Visit, csrf: &str) -> Result<Form, Refusal> {
        if !is_same_origin(visit.headers(), &self.public_url) {
            return Err(Refusal::Forged);
        }
        let form = Form::parse(&visit.request)?;
        if !secret::equal(form.get("csrf").as_bytes(), csrf.as_bytes()) {
            return Err(Refusal::Forged);
        }
        Ok(form)
    }
}

/// The token of the forms of whoever has the cookie `id`. It tells nothing of the cookie, which script cannot read.
pub(super) fn csrf(id: &str) -> String {
    let mut bytes = Zeroizing::new(b"portcullis form\0".to_vec());
    bytes.extend_from_slice(id.as_bytes());
    secret::base64url(&secret::sha256(&bytes))
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
