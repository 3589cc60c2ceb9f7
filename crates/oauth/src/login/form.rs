//! The forms of browsers: whether it was one of our own pages that sent them, in this very browser.

use bytes::Bytes;
use http::Response;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::{Login, Visit, cookie};
use crate::form::{Form, InvalidForm};
use crate::secret;

/// How long a page may stand before its form is sent, in seconds.
const VISITOR_S: u64 = 60 * 60;

/// A browser that is not logged in, known by a random cookie.
pub(super) struct Visitor {
    pub(super) id: Zeroizing<String>,
    fresh: bool,
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
        let form = Form::of_own_page(&visit.request, &self.public_url)?;
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

impl From<InvalidForm> for Refusal {
    fn from(invalid: InvalidForm) -> Self {
        match invalid {
            InvalidForm::Foreign => Self::Forged,
            InvalidForm::Unreadable => Self::Form,
        }
    }
}
