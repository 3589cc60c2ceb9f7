//! Names of servers, and the names under which one endpoint offers the tools, prompts and resources
//! of many.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Between the server and the original name. A server's name has no underscore, so the first one
/// found is the one that was put there.
const SEPARATOR: &str = "__";

/// The longest tool name that every known client accepts, in bytes.
const FEDERATED_BYTES_MAX: usize = 64;

/// What is left of a name that is cut: the rest is `_` and eight hexadecimal digits.
const CUT_BYTES_MAX: usize = FEDERATED_BYTES_MAX - 9;

/// The operator's name for a server: `[a-z][a-z0-9-]*`, at most 32 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// Text that is no server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a server name; use 1 to 32 of `a` to `z`, `0` to `9` and `-`, and begin with a letter"
)]
pub struct InvalidServerName;

impl ServerName {
    /// The longest name, in characters.
    pub const CHARS_MAX: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(text: &str) -> bool {
        text.len() <= Self::CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

impl FromStr for ServerName {
    type Err = InvalidServerName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Self::is_valid(text) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidServerName)
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ServerName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a server's tool or prompt at the endpoint of all servers: `server__name`.
///
/// When that exceeds 64 bytes it is cut at a character and ends with `_` and eight hexadecimal
/// digits of a hash of the whole, so that it is the same in every run. The hash is FNV-1a of 64 bits
/// folded to 32: two names of one server may meet, by chance or by intent, and whoever makes a list
/// must refuse the second. Names of different servers never meet.
pub fn federated_name(server: &ServerName, name: &str) -> String {
    let whole = format!("{server}{SEPARATOR}{name}");
    if whole.len() <= FEDERATED_BYTES_MAX {
        return whole;
    }
    let hash = fnv1a(whole.as_bytes());
    let folded = (hash >> 32) ^ (hash & 0xffff_ffff);
    let cut = whole.floor_char_boundary(CUT_BYTES_MAX);
    let kept = whole.get(..cut).unwrap_or_default();
    format!("{kept}_{folded:08x}")
}

/// Server and name of a [`federated_name`], split at the first `__`; `None` when what stands before
/// is no server name or nothing stands behind. A name that was cut does not give the original.
pub fn split_federated(name: &str) -> Option<(&str, &str)> {
    let (server, rest) = name.split_once(SEPARATOR)?;
    (ServerName::is_valid(server) && !rest.is_empty()).then_some((server, rest))
}

/// The URI of a server's resource at the endpoint of all servers: `server+ORIGINAL`, which is again
/// a URI when the original is one (RFC 3986 §3.1 allows `+` in a scheme).
pub fn federated_uri(server: &ServerName, uri: &str) -> String {
    format!("{server}+{uri}")
}

/// Server and original of a [`federated_uri`], split at the first `+`; `None` when what stands before
/// is no server name.
pub fn split_federated_uri(uri: &str) -> Option<(&str, &str)> {
    let (server, rest) = uri.split_once('+')?;
    ServerName::is_valid(server).then_some((server, rest))
}

/// FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests;
