//! The only ways out of a sandbox lead to the gateway.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use portcullis_sandbox::{Command, Confinement, Doors, Exit, Network};

use crate::support::{bounded, read_to_end, sandbox, sh};

/// Answers whatever comes first on `listener`, and says what that was.
fn serve(listener: TcpListener) -> std::thread::JoinHandle<(String, std::net::SocketAddr)> {
    std::thread::spawn(move || {
        listener.set_nonblocking(false).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        (text, stream.local_addr().unwrap())
    })
}

/// Answers every question about a name with 127.1.2.3, if it is for such an address.
fn resolve(socket: UdpSocket) {
    socket.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut query) {
            let mut answer = query[..count].to_vec();
            // The end of the name, before the kind and the class that are asked for.
            let end = answer[12..].iter().position(|byte| *byte == 0).unwrap() + 13;
            let is_address = u8::from(answer[end..end + 2] == [0, 1]);
            answer.truncate(end + 4);
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, is_address]);
            answer[8..12].fill(0);
            if is_address == 1 {
                // The name of the question, an address, for a minute.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 1, 2, 3]);
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
}

async fn with_doors(command: &Command, work: impl FnOnce(Doors)) -> (String, String, Exit) {
    bounded(async {
        let confinement = Confinement {
            network: Network::Guarded,
            ..Confinement::default()
        };
        let mut child = sandbox()
            .spawn_confined(command, &confinement)
            .await
            .unwrap();
        work(child.doors.take().unwrap());
        let text = read_to_end(child.stdout.take().unwrap()).await;
        let errors = read_to_end(child.stderr.take().unwrap()).await;
        (text, errors, child.wait().await.unwrap())
    })
    .await
}

fn python(code: &str) -> Option<Command> {
    std::path::Path::new("/usr/bin/python3")
        .exists()
        .then(|| Command {
            program: "/usr/bin/python3".to_owned(),
            args: vec!["-c".to_owned(), code.to_owned()],
            ..Command::default()
        })
}

#[tokio::test]
async fn a_proxy_is_at_hand() {
    let code = "import os, urllib.request as r, urllib.error\n\
                try: r.urlopen('https://example.com/')\n\
                except OSError as e: print(e.reason)";
    let Some(command) = python(code) else {
        return;
    };
    let mut served = None;
    let (text, errors, _) = with_doors(&command, |doors| served = Some(serve(doors.proxy))).await;
    let (request, _) = served.unwrap().join().unwrap();
    assert!(request.starts_with("CONNECT example.com:443"), "{request}");
    assert!(text.contains("403"), "{text}{errors}");
}

#[tokio::test]
async fn what_ignores_the_proxy_is_caught() {
    let code = "import socket\n\
                s = socket.create_connection(('example.com', 443), 20)\n\
                s.sendall(b'hello'); print(s.recv(12).decode(), s.getpeername()[0])";
    let Some(command) = python(code) else {
        return;
    };
    let mut served = None;
    let (text, errors, _) = with_doors(&command, |doors| {
        resolve(doors.names_udp);
        served = Some(serve(doors.https));
    })
    .await;
    assert_eq!(text, "HTTP/1.1 403 127.1.2.3\n", "{errors}");
    let (sent, reached) = served.unwrap().join().unwrap();
    assert_eq!(sent, "hello");
    // By this the gateway knows which name was meant.
    assert_eq!(reached.ip().to_string(), "127.1.2.3");
}

#[tokio::test]
async fn no_other_port_or_address_answers() {
    let code = "import socket\n\
                for a in [('127.0.0.1', 8080), ('192.0.2.1', 443), ('::1', 443)]:\n\
                \x20 try: socket.create_connection(a, 2); print('reached', a)\n\
                \x20 except OSError as e: print('refused')\n\
                try: socket.create_server(('127.0.0.1', 0)); print('reached')\n\
                except OSError as e: print('refused')";
    let Some(command) = python(code) else {
        return;
    };
    let mut held = None;
    let (text, errors, _) = with_doors(&command, |doors| held = Some(doors)).await;
    assert_eq!(text, "refused\n".repeat(4), "{errors}");
}

#[tokio::test]
async fn a_server_without_network_has_no_doors() {
    let confinement = Confinement::default();
    let child = bounded(sandbox().spawn_confined(&sh("exit 0"), &confinement)).await;
    assert!(child.unwrap().doors.is_none());
}
