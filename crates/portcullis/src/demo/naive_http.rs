//! The sample servers' HTTP face: what many a local server ships. It reads the body and nothing
//! else: no credential, `Host`, `Origin` or mirrored header is looked at, and a session id is a
//! number that is counted up and never asked for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::{self, Handler};

/// Listens on a free loopback port, prints it as the first line, and serves until the process ends.
pub(super) fn serve(handler: impl Handler, directory: &Path) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    server::emit(listener.local_addr()?.port().to_string().as_bytes())?;
    let shared = Arc::new(Mutex::new((handler, 0_u64)));
    for connection in listener.incoming() {
        let (connection, shared, directory) =
            (connection?, Arc::clone(&shared), directory.to_owned());
        std::thread::spawn(move || {
            // A client that went away is no concern of the others.
            drop(answer(&connection, &shared, &directory));
        });
    }
    Ok(())
}

fn answer<H: Handler>(
    connection: &TcpStream,
    shared: &Mutex<(H, u64)>,
    directory: &Path,
) -> io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0_u64;
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || (number > 0 && line.trim().is_empty()) {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;

    let mut lines = Vec::new();
    let session = {
        let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (handler, sessions) = &mut *guard;
        server::take(handler, directory, &body, &mut |line| lines.push(line))?;
        *sessions += 1;
        *sessions
    };
    let mut out = io::BufWriter::new(connection);
    if lines.is_empty() {
        return out
            .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let (kind, payload) = match lines.as_slice() {
        [only] => ("application/json", only.clone()),
        several => {
            let events = several
                .iter()
                .map(|line| [b"data: ", line.as_slice(), b"\n\n"].concat());
            ("text/event-stream", events.collect::<Vec<_>>().concat())
        }
    };
    write!(
        out,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nmcp-session-id: {session}\r\nconnection: close\r\n\r\n",
        payload.len(),
    )?;
    out.write_all(&payload)
}
