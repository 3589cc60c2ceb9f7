//! The first message of a TLS client, read for the host that it names, and kept to be passed on.

use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::reason::Reason;
use crate::host::Host;

/// How long the client has to say it.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that is read: post-quantum key shares need a few kilobytes.
const HELLO_MAX: usize = 32 << 10;

/// A `ClientHello` (RFC 8446 §4.1.2).
#[derive(Debug)]
pub(crate) struct Hello {
    /// The host of its Server Name Indication (RFC 6066 §3), which is never an address.
    pub(crate) name: Option<Host>,
    /// All that was read.
    pub(crate) bytes: Vec<u8>,
}

/// Reads until the message is complete.
pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Hello, Reason> {
    tokio::time::timeout(HELLO_TIMEOUT, read_all(io))
        .await
        .map_err(|_elapsed| Reason::Idle)?
}

async fn read_all(io: &mut (impl AsyncRead + Unpin)) -> Result<Hello, Reason> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < HELLO_MAX {
        let count = io.read(&mut buffer).await;
        let count = count.map_err(|_gone| Reason::Closed)?;
        let mut part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            return Err(if bytes.is_empty() {
                Reason::Closed
            } else {
                Reason::NotTls
            });
        }
        bytes.extend_from_slice(part);
        while !part.is_empty() {
            let read = acceptor.read_tls(&mut part);
            read.map_err(|_not_tls| Reason::NotTls)?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let name = match hello.server_name() {
                    None => None,
                    Some(name) => Some(Host::canonical(name).ok_or(Reason::NotCanonical)?),
                };
                return Ok(Hello { name, bytes });
            }
            Err(_not_tls) => return Err(Reason::NotTls),
        }
    }
    Err(Reason::NotTls)
}

impl Hello {
    /// Whether it names `host`; an address is named by naming nothing.
    pub(crate) fn names(&self, host: &Host) -> Result<(), Reason> {
        match (&self.name, host) {
            (None, Host::Name(_)) => Err(Reason::NoServerName),
            (None, Host::Address(_)) => Ok(()),
            (Some(name), host) if name == host => Ok(()),
            (Some(_), _) => Err(Reason::ServerName),
        }
    }
}

#[cfg(test)]
mod tests;
