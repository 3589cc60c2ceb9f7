//! Reads what a server answers to a credential it does not accept: `WWW-Authenticate` (RFC 9110 §11.6.1) with the parameters of
//! RFC 6750 §3, RFC 9728 §5.1 and RFC 9449 §7.1.

use std::iter::Peekable;
use std::str::CharIndices;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use serde::{Deserialize, Serialize};

use crate::scope::Scopes;

/// How much of a header's value is read, in bytes, and how many values.
const BYTES_MAX: usize = 8 * 1024;
const VALUES_MAX: usize = 8;

/// What a server asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    /// The scheme that is asked for is DPoP, and Bearer is not offered.
    pub(crate) dpop: bool,
    /// `error`, such as `invalid_token`.
    pub(crate) error: Option<Box<str>>,
    /// `scope`: those that the operation needs.
    pub(crate) scopes: Option<Scopes>,
    /// `resource_metadata`: where the protected resource's metadata is.
    pub(crate) resource_metadata: Option<Box<str>>,
}

impl Challenge {
    /// The challenge in a response's head. One of the scheme DPoP is taken before one of the scheme Bearer only if there is
    /// no other; what cannot be read counts as absent.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut found: Option<Self> = None;
        for value in headers.get_all(WWW_AUTHENTICATE).iter().take(VALUES_MAX) {
            let Ok(text) = value.to_str() else { continue };
            if text.len() > BYTES_MAX {
                continue;
            }
            for (scheme, parameters) in challenges(text) {
                let dpop = scheme.eq_ignore_ascii_case("DPoP");
                if !dpop && !scheme.eq_ignore_ascii_case("Bearer") {
                    continue;
                }
                let challenge = Self::of(dpop, parameters);
                match &mut found {
                    None => found = Some(challenge),
                    // Both are offered: the parameters of both are one answer.
                    Some(earlier) => earlier.merge(challenge),
                }
            }
        }
        found.unwrap_or_default()
    }

    fn of(dpop: bool, parameters: Vec<(String, String)>) -> Self {
        let mut challenge = Self {
            dpop,
            ..Self::default()
        };
        for (name, value) in parameters {
            match name.as_str() {
                "error" if challenge.error.is_none() => challenge.error = Some(value.into()),
                "scope" if challenge.scopes.is_none() => {
                    challenge.scopes = value.parse().ok().filter(|it: &Scopes| !it.is_empty());
                }
                "resource_metadata" if challenge.resource_metadata.is_none() => {
                    challenge.resource_metadata = Some(value.into());
                }
                _ => {}
            }
        }
        challenge
    }

    fn merge(&mut self, other: Self) {
        self.dpop &= other.dpop;
        self.error = self.error.take().or(other.error);
        self.scopes = self.scopes.take().or(other.scopes);
        self.resource_metadata = self.resource_metadata.take().or(other.resource_metadata);
    }

    /// Whether `error` is this.
    pub(crate) fn is(&self, error: &str) -> bool {
        self.error.as_deref() == Some(error)
    }
}

type Parameters = Vec<(String, String)>;

/// The challenges of one header value: scheme, then parameters with their names in lower case. Stops at what it cannot read.
fn challenges(text: &str) -> Vec<(String, Parameters)> {
    let mut reader = Reader {
        text,
        chars: text.char_indices().peekable(),
    };
    let mut found: Vec<(String, Parameters)> = Vec::new();
    loop {
        reader.skip(|it| it == ',' || it.is_ascii_whitespace());
        let Some(word) = reader.token() else {
            return found;
        };
        reader.skip(|it| it == ' ' || it == '\t');
        if !reader.next_is('=') {
            found.push((word.to_owned(), Vec::new()));
            continue;
        }
        // `token68` padding and a parameter look alike until here; a value settles it.
        reader.skip(|it| it == '=');
        reader.skip(|it| it == ' ' || it == '\t');
        if reader.next_is(',') || reader.at_end() {
            continue;
        }
        let Some(value) = reader.value() else {
            return found;
        };
        match found.last_mut() {
            Some((_, parameters)) => parameters.push((word.to_ascii_lowercase(), value)),
            None => return found,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, is: impl Fn(char) -> bool) {
        while self.chars.next_if(|(_, it)| is(*it)).is_some() {}
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.peek().is_some_and(|(_, it)| *it == wanted)
    }

    fn at_end(&mut self) -> bool {
        self.chars.peek().is_none()
    }

    fn token(&mut self) -> Option<&'a str> {
        let start = self.chars.peek()?.0;
        let allowed = |it: char| it.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(it);
        self.skip(allowed);
        let end = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(start..end).filter(|it| !it.is_empty())
    }

    /// A token, or a quoted string without its quotes (RFC 9110 §5.6.4).
    fn value(&mut self) -> Option<String> {
        if !self.next_is('"') {
            return self.token().map(str::to_owned);
        }
        self.chars.next();
        let mut value = String::new();
        while let Some((_, it)) = self.chars.next() {
            match it {
                '"' => return Some(value),
                '\\' => value.push(self.chars.next()?.1),
                _ => value.push(it),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
