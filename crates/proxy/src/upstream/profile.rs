//! What each side of a connection declares of itself.

use bytes::Bytes;
use portcullis_mcp::{Era, Object, Version, meta};

use super::error::Garbage;

/// What a client declared of itself, as raw JSON.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The legacy version the client asked for; `None` offers the newest legacy version.
    pub version: Option<Version>,
    /// Its capabilities, a JSON object.
    pub capabilities: Bytes,
    /// Its name and version, a JSON object.
    pub client_info: Bytes,
    /// The level of log messages it asked for; sent to modern servers with each request.
    pub log_level: Option<Box<str>>,
}

/// What a server declared of itself.
#[derive(Clone, Debug)]
pub struct Hello {
    /// How it is spoken to.
    pub era: Era,
    /// The version agreed on.
    pub version: Version,
    /// Its capabilities, a JSON object.
    pub capabilities: Bytes,
    /// Its name and version, a JSON object; self-reported.
    pub server_info: Option<Bytes>,
    /// Its instructions for the model.
    pub instructions: Option<Box<str>>,
    /// The whole result of `initialize` or `server/discover`.
    pub raw: Bytes,
}

impl Hello {
    /// Reads the result of `initialize`.
    pub(super) fn initialized(raw: &Bytes) -> Result<Self, Garbage> {
        let method = "initialize";
        let lacks = |member| Garbage::Handshake { method, member };
        let result = Object::parse(raw).ok_or(lacks("result"))?;
        let version = result
            .get_str("protocolVersion")
            .ok_or(lacks("protocolVersion"))?;
        let version = match Version::parse(&version) {
            Some(version) if version.era() == Era::Legacy => version,
            _ => return Err(Garbage::Version(version.chars().take(32).collect())),
        };
        let capabilities = object(&result, "capabilities").ok_or(lacks("capabilities"))?;
        Ok(Self {
            era: Era::Legacy,
            version,
            capabilities,
            server_info: object(&result, "serverInfo"),
            instructions: result.get_str("instructions").map(Into::into),
            raw: raw.clone(),
        })
    }

    /// Reads the result of `server/discover`, for a server that is spoken to in `version`.
    pub(super) fn discovered(raw: &Bytes, version: Version) -> Result<Self, Garbage> {
        let method = "server/discover";
        let lacks = |member| Garbage::Handshake { method, member };
        let result = Object::parse(raw).ok_or(lacks("result"))?;
        let capabilities = object(&result, "capabilities").ok_or(lacks("capabilities"))?;
        let server_info = result
            .get("_meta")
            .and_then(Object::parse)
            .and_then(|meta| object(&meta, meta::SERVER_INFO));
        Ok(Self {
            era: Era::Modern,
            version,
            capabilities,
            server_info,
            instructions: result.get_str("instructions").map(Into::into),
            raw: raw.clone(),
        })
    }

    /// A modern server that does not implement `server/discover`: it declares nothing.
    pub(super) fn silent(version: Version) -> Self {
        let empty = Bytes::from_static(b"{}");
        Self {
            era: Era::Modern,
            version,
            capabilities: empty.clone(),
            server_info: None,
            instructions: None,
            raw: empty,
        }
    }
}

fn object(from: &Object<'_>, key: &str) -> Option<Bytes> {
    let value = from.get(key)?;
    portcullis_mcp::is_object(value).then(|| Bytes::copy_from_slice(value))
}
