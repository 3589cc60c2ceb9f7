//! Bytes to and fro, once they may.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::attempt::Attempt;
use super::exchange;
use super::hello;
use super::route::Route;
use super::rule::Protocol;

/// Serves a tunnel that the server was granted, looking at what the protocol of its rule has to show.
pub(crate) async fn serve<S>(mut io: S, route: Route, mut attempt: Attempt)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match route.permit.protocol {
        Protocol::Tcp => relay(io, &[], route, attempt).await,
        Protocol::Http => {
            exchange::serve(io, Some(route.wish.host), route.wish.port, attempt).await;
        }
        Protocol::Tls => match hello::read(&mut io).await {
            Ok(hello) => match hello.names(&route.wish.host) {
                Ok(()) => relay(io, &hello.bytes, route, attempt).await,
                Err(reason) => attempt.deny(reason),
            },
            Err(reason) => attempt.deny(reason),
        },
    }
}

/// Dials, sends what the server has already said, and then copies until both are done or the
/// connection may not go on.
pub(crate) async fn relay<S>(mut io: S, first: &[u8], route: Route, mut attempt: Attempt)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = attempt.shared.clone();
    let tally = attempt.tally.clone();
    let mut outside = match shared.dial(&route, &tally).await {
        Ok(outside) => outside,
        Err(reason) => return attempt.refuse(reason),
    };
    let peer = outside.peer();
    let copying = async {
        outside.io.write_all(first).await?;
        tokio::io::copy_bidirectional(&mut io, &mut outside.io).await?;
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        biased;
        reason = shared.withdrawn(&route, peer, &tally) => attempt.cut(reason),
        // Who breaks off has ended it too.
        _ended = copying => attempt.over(),
    }
}
