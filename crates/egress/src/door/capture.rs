//! The listeners for clients that do not know of the proxy, and think that they have reached a host.

use std::net::IpAddr;

use tokio::net::TcpStream;

use super::Shared;
use super::allowance::{Wish, WishKind};
use super::attempt::Attempt;
use super::exchange;
use super::hello;
use super::reason::Reason;
use super::rule::Protocol;
use super::tunnel;
use crate::host::Host;

/// Serves a connection that should start with TLS.
pub(crate) async fn tls(mut tcp: TcpStream, mut attempt: Attempt) {
    let Some((given, port)) = destination(&attempt.shared, &tcp) else {
        return;
    };
    if let Some(host) = &given {
        attempt.sought(&host.to_string(), Some(port));
    }
    let shared = attempt.shared.clone();
    // Where the address says the name, a rule may ask for no TLS.
    if let Some(host) = given.clone() {
        let wish = Wish {
            host,
            port,
            kind: WishKind::Tunnel,
        };
        let unseen = |protocol| protocol == Protocol::Tcp;
        if shared
            .judge(&wish)
            .is_ok_and(|permit| unseen(permit.protocol))
        {
            attempt.wishes(&wish);
            return match shared.route(wish).await {
                Ok(route) => {
                    attempt.for_tool(route.permit.tool.clone());
                    tunnel::serve(tcp, route, attempt).await;
                }
                Err(reason) => attempt.refuse(reason),
            };
        }
    }
    let hello = match hello::read(&mut tcp).await {
        Ok(hello) => hello,
        Err(reason) => return attempt.deny(reason),
    };
    let host = match (given, &hello.name) {
        (Some(host), _) => host,
        (None, Some(name)) => name.clone(),
        (None, None) => return attempt.deny(Reason::NoServerName),
    };
    if let Err(reason) = hello.names(&host) {
        return attempt.deny(reason);
    }
    let wish = Wish {
        host,
        port,
        kind: WishKind::Tls,
    };
    attempt.wishes(&wish);
    match shared.route(wish).await {
        Ok(route) => {
            attempt.for_tool(route.permit.tool.clone());
            tunnel::relay(tcp, &hello.bytes, route, attempt).await;
        }
        Err(reason) => attempt.refuse(reason),
    }
}

/// Serves a connection that should carry a plain request.
pub(crate) async fn http(tcp: TcpStream, attempt: Attempt) {
    let Some((given, port)) = destination(&attempt.shared, &tcp) else {
        return;
    };
    exchange::serve(tcp, given, port, attempt).await;
}

/// Where the server thinks that it connected to: the host whose address it was given out as, and the
/// port.
fn destination(shared: &Shared, tcp: &TcpStream) -> Option<(Option<Host>, u16)> {
    let local = tcp.local_addr().ok()?;
    let given = match local.ip() {
        IpAddr::V4(address) => shared.names.name_of(address),
        IpAddr::V6(_) => None,
    };
    Some((given.map(Host::Name), local.port()))
}
