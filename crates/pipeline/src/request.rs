//! A request in its server's own terms, and the proof that it was checked.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::{digest, rand};
use bytes::Bytes;
use portcullis_mcp::{Era, ServerName, method};

use crate::history::Called;
use crate::{Principal, ToolDefinition};

/// The longest method name that is recorded, in bytes; a longer one is refused anyway.
const METHOD_BYTES_MAX: usize = 128;

/// A moment, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// The gateway's own identifier of a request: a version 7 UUID (RFC 9562, section 5.7). The caller is
/// told it, and the record is found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u128);

/// The system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness; the request cannot be told apart from others")]
pub struct NoRandomness;

impl RequestId {
    /// The identifier of a request that arrived at `at`; of `random` the low 74 bits are used.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let time = (u128::from(at.0) & ((1 << 48) - 1)) << 80;
        let high = ((random >> 62) & 0xfff) << 64;
        let low = random & ((1 << 62) - 1);
        Self(time | (7 << 76) | high | (2 << 62) | low)
    }

    /// The identifier of a request that arrived at `at`, with fresh randomness.
    pub fn generate(at: Timestamp) -> Result<Self, NoRandomness> {
        let mut random = [0; 16];
        match rand::fill(&mut random) {
            Ok(()) => Ok(Self::new(at, u128::from_ne_bytes(random))),
            Err(_unspecified) => Err(NoRandomness),
        }
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A request as it would be sent to its server.
#[derive(Debug)]
pub struct Request {
    /// The gateway's own identifier.
    pub id: RequestId,
    /// When it arrived.
    pub at: Timestamp,
    /// Who asks.
    pub principal: Principal,
    /// What the client calls itself. It proves nothing and is only recorded.
    pub client: Option<Box<str>>,
    /// The server.
    pub server: ServerName,
    /// The method.
    pub method: Box<str>,
    /// The server's own name of the tool or prompt, or the URI. For the methods that have one it must
    /// equal the member of the params.
    pub target: Option<Box<str>>,
    /// The final params: a JSON object in the server's own terms, whose bytes were scanned.
    pub params: Option<Bytes>,
    /// The definition of the tool that is called; `None` is an unknown tool.
    pub tool: Option<Arc<ToolDefinition>>,
    /// The client's era.
    pub era_client: Era,
    /// The server's era.
    pub era_server: Era,
}

impl Request {
    /// The tool that it calls, if it calls one.
    pub(crate) fn called(&self) -> Option<Called<'_>> {
        let calls = &*self.method == method::TOOLS_CALL;
        calls.then_some((&self.server, self.target.as_deref().unwrap_or_default()))
    }
}

/// What has passed its checks. Only this crate makes one; it is neither `Clone` nor mutable.
#[derive(Debug)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    pub(crate) fn new(checked: T) -> Self {
        Self(checked)
    }

    /// Gives the message up to be sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The name of an era in the record.
pub(crate) fn era_name(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

/// A method as it is recorded: cut when no known method is so long.
pub(crate) fn name_of(method: &str) -> Box<str> {
    if method.len() <= METHOD_BYTES_MAX {
        return method.into();
    }
    method.chars().take(METHOD_BYTES_MAX).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
