//! Scopes (RFC 6749 §3.3): names of what a token may be used for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest scope that is accepted, in bytes.
pub const SCOPE_BYTES_MAX: usize = 128;

/// The most scopes in one set.
pub const SCOPES_MAX: usize = 512;

/// A set of scopes, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scopes(BTreeSet<Box<str>>);

/// A text that is no list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// A character that RFC 6749 §3.3 does not allow.
    #[error("a scope has only printable ASCII characters without space, `\"` and `\\`")]
    Character,
    /// Too long.
    #[error("a scope has at most 128 characters")]
    TooLong,
    /// Too many.
    #[error("at most 512 scopes may be named")]
    TooMany,
}

/// Whether `text` is one scope (`scope-token`).
pub fn check_scope(text: &str) -> Result<(), InvalidScopes> {
    if text.len() > SCOPE_BYTES_MAX {
        return Err(InvalidScopes::TooLong);
    }
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(InvalidScopes::Character);
    }
    Ok(())
}

impl Scopes {
    /// No scope.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `scope` is one of them.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether each of `other` is one of them.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Those of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }

    /// Adds one that was checked by [`check_scope`].
    pub fn insert(&mut self, scope: &str) -> Result<(), InvalidScopes> {
        check_scope(scope)?;
        if self.0.len() >= SCOPES_MAX && !self.0.contains(scope) {
            return Err(InvalidScopes::TooMany);
        }
        self.0.insert(scope.into());
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = InvalidScopes;

    /// Reads scopes separated by single spaces; further spaces are passed over.
    fn from_str(text: &str) -> Result<Self, InvalidScopes> {
        let mut scopes = Self::new();
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            scopes.insert(scope)?;
        }
        Ok(scopes)
    }
}

impl TryFrom<String> for Scopes {
    type Error = InvalidScopes;

    fn try_from(text: String) -> Result<Self, InvalidScopes> {
        text.parse()
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.to_string()
    }
}

/// Separated by spaces.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
