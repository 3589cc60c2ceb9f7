//! Whose process is at the other end of a connection from this machine.
//!
//! The kernel knows the owner of each socket. A TCP connection over the loopback interface has both its ends in the same table, so
//! the owner of the other end is found by its addresses (proc(5), `/proc/net/tcp`). In another network namespace, such as a
//! container's, the other end is not in the table, and its owner is unknown.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use tokio::sync::OnceCell;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    /// Our end.
    local: SocketAddr,
    /// SHA-256 of the certificate it has shown, when it has shown one.
    pub(crate) certificate: Option<[u8; 32]>,
    is_own: Arc<OnceCell<bool>>,
}

impl Peer {
    pub(crate) fn new(
        address: SocketAddr,
        local: SocketAddr,
        certificate: Option<[u8; 32]>,
    ) -> Self {
        Self {
            address,
            local,
            certificate,
            is_own: Arc::default(),
        }
    }

    /// The port that it has connected to.
    pub(crate) fn port(&self) -> u16 {
        self.local.port()
    }

    /// Its address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// Whether a process of the gateway's own user is at the other end. Whoever cannot be known is another.
    pub(crate) async fn is_same_user(&self) -> bool {
        let (address, local) = (self.address, self.local);
        *self
            .is_own
            .get_or_init(|| async move {
                let looking = tokio::task::spawn_blocking(move || {
                    let own = std::fs::metadata("/proc/self").ok()?.uid();
                    owner(address, local).filter(|owner| *owner == own)
                });
                looking.await.ok().flatten().is_some()
            })
            .await
    }
}

/// The user id of the socket that is bound to `address` and connected to `local`.
fn owner(address: SocketAddr, local: SocketAddr) -> Option<u32> {
    if !address.ip().to_canonical().is_loopback() {
        return None;
    }
    // A socket of IPv6 may speak IPv4, and is then in the other table.
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .find_map(|path| {
            let table = BufReader::new(std::fs::File::open(path).ok()?);
            table
                .lines()
                .map_while(Result::ok)
                .find_map(|line| owner_in(&line, address, local))
        })
}

/// The user id in a line of the table, if it is the line of this connection.
fn owner_in(line: &str, address: SocketAddr, local: SocketAddr) -> Option<u32> {
    const ESTABLISHED: &str = "01";
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (its, ours, state) = (columns.next()?, columns.next()?, columns.next()?);
    let is_it = state == ESTABLISHED
        && endpoint(its)? == (address.ip().to_canonical(), address.port())
        && endpoint(ours)? == (local.ip().to_canonical(), local.port());
    if !is_it {
        return None;
    }
    columns.nth(3)?.parse().ok()
}

/// Reads `0100007F:1F90`: the address in words of the machine's own byte order, the port as a number.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = Vec::with_capacity(16);
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_longer) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
    };
    Some((address.to_canonical(), port))
}

#[cfg(test)]
mod tests;
