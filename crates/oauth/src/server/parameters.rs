//! Parameters of requests, from a query or a form (RFC 6749 §3.1, §3.2).

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The most parameters in one request.
const COUNT_MAX: usize = 64;

/// The longest query or form, in bytes.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// Parameters, each at most once. One without a value counts as absent.
#[derive(Clone, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

/// Why parameters are not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidParameters {
    /// The body is no form.
    #[error("send the parameters as application/x-www-form-urlencoded")]
    MediaType,
    /// Too long or too many.
    #[error("send fewer or shorter parameters")]
    TooMuch,
    /// A parameter is there twice; the rest can be read. Which of the two is meant depends on the reader.
    #[error("send each parameter once")]
    Repeated(Parameters),
}

impl std::fmt::Debug for Parameters {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Parameters {}

impl Parameters {
    /// The parameters of a query or of a form's body. Of those that are repeated, none is there.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidParameters> {
        if text.len() > BYTES_MAX {
            return Err(InvalidParameters::TooMuch);
        }
        let mut parameters = BTreeMap::new();
        let mut repeated = Vec::new();
        for (n, (name, value)) in url::form_urlencoded::parse(text).enumerate() {
            if n >= COUNT_MAX {
                return Err(InvalidParameters::TooMuch);
            }
            let name = name.into_owned();
            if parameters
                .insert(name.clone(), value.into_owned())
                .is_some()
            {
                repeated.push(name);
            }
        }
        for name in &repeated {
            parameters.remove(name);
        }
        parameters.retain(|_, value| !value.is_empty());
        if repeated.is_empty() {
            Ok(Self(parameters))
        } else {
            Err(InvalidParameters::Repeated(Self(parameters)))
        }
    }

    /// The parameters of a form that a request carries in its body.
    pub(crate) fn from_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, InvalidParameters> {
        if !has_media_type(headers, "application/x-www-form-urlencoded") {
            return Err(InvalidParameters::MediaType);
        }
        Self::parse(body)
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The parameters as a query, without those of these names.
    pub(crate) fn to_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        query.finish()
    }
}

/// Whether the one `Content-Type` of a request is `expected`, whatever its parameters.
pub(crate) fn has_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests;
