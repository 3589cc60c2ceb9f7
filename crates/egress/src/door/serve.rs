//! Accepts what the server sends, until the door closes.

use std::future::Future;
use std::io;
use std::net;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::attempt::Attempt;
use super::connection::Kind;
use super::{Listeners, Shared, capture, names, proxy};

/// How long nothing is accepted after that failed, which it does when the process has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections ask for names at once.
const NAMES_CONNECTIONS_MAX: usize = 16;

/// Serves all sockets until `until` is done.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    listeners: Listeners,
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    let proxy = listener(listeners.proxy)?;
    let http = listener(listeners.http)?;
    let https = listener(listeners.https)?;
    let names_tcp = listener(listeners.names_tcp)?;
    listeners.names_udp.set_nonblocking(true)?;
    let names_udp = UdpSocket::from_std(listeners.names_udp)?;
    tokio::select! {
        () = until => Ok(()),
        () = connections(shared, proxy, Kind::Connect, proxy::serve) => Ok(()),
        () = connections(shared, http, Kind::CapturedRequest, capture::http) => Ok(()),
        () = connections(shared, https, Kind::CapturedTls, capture::tls) => Ok(()),
        () = questions(shared, names_tcp) => Ok(()),
        () = names::serve_udp(shared, names_udp) => Ok(()),
    }
}

fn listener(listener: net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Each connection is a task, which ends with this.
async fn connections<F>(
    shared: &Arc<Shared>,
    listener: TcpListener,
    kind: Kind,
    serve: fn(TcpStream, Attempt) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let tcp = next(&listener, &mut tasks).await;
        if let Some(attempt) = Attempt::admit(shared, kind) {
            tasks.spawn(serve(tcp, attempt));
        }
    }
}

async fn questions(shared: &Arc<Shared>, listener: TcpListener) {
    let mut tasks = JoinSet::new();
    loop {
        let tcp = next(&listener, &mut tasks).await;
        if tasks.len() < NAMES_CONNECTIONS_MAX {
            let shared = Arc::clone(shared);
            tasks.spawn(async move {
                if let Err(error) = names::serve_tcp(&shared, tcp).await {
                    tracing::debug!(%error, "a connection for names broke off");
                }
            });
        }
    }
}

/// The next connection.
async fn next(listener: &TcpListener, tasks: &mut JoinSet<()>) -> TcpStream {
    loop {
        let accepted = listener.accept().await;
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((tcp, _)) => return tcp,
            Err(error) => {
                tracing::warn!(%error, "a connection of a confined server was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
