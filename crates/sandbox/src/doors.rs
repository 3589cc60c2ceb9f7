//! The ways out of a sandbox that the gateway holds.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// The port of the proxy inside the sandbox, on 127.0.0.1.
pub(crate) const PROXY_PORT: u16 = 3128;
/// The ports that a confined server may connect to: the proxy, plain HTTP, HTTPS, and names.
pub(crate) const PORTS: [u16; 4] = [PROXY_PORT, 80, 443, 53];

/// Sockets inside the network of one confined server, held by the gateway. Whatever comes in on
/// them comes from that server, which has no other way out. All are non-blocking, as
/// `tokio::net::TcpListener::from_std` needs them.
///
/// The server can bind no TCP port, these or others, and connect to no others than these. The
/// network lives as long as they do: drop them when the server has ended.
#[derive(Debug)]
pub struct Doors {
    /// 127.0.0.1:3128, where the server's `HTTPS_PROXY` points (RFC 9110, section 9.3.6).
    pub proxy: TcpListener,
    /// Port 80 of every address, for what ignores the proxy.
    pub http: TcpListener,
    /// Port 443 of every address, for what ignores the proxy.
    pub https: TcpListener,
    /// The resolver of the server's `resolv.conf`, 127.0.0.1:53 (RFC 1035, section 4.2.1). It may
    /// answer with any address of 127.0.0.0/8: all of them lead to these doors.
    pub names_udp: UdpSocket,
    /// The same over TCP (RFC 7766).
    pub names_tcp: TcpListener,
}

impl Doors {
    /// In the order of [`Doors`]' fields.
    pub(crate) fn from_fds(fds: Vec<OwnedFd>) -> io::Result<Self> {
        for fd in &fds {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or(io::ErrorKind::InvalidData);
        Ok(Self {
            proxy: next()?.into(),
            http: next()?.into(),
            https: next()?.into(),
            names_udp: next()?.into(),
            names_tcp: next()?.into(),
        })
    }

    /// Opens them in the network that this process is in.
    #[cfg(target_os = "linux")]
    pub(crate) fn open() -> io::Result<[OwnedFd; 5]> {
        use std::net::Ipv4Addr;
        let (local, any) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        Ok([
            TcpListener::bind((local, PROXY_PORT))?.into(),
            TcpListener::bind((any, 80))?.into(),
            TcpListener::bind((any, 443))?.into(),
            UdpSocket::bind((local, 53))?.into(),
            TcpListener::bind((local, 53))?.into(),
        ])
    }
}
