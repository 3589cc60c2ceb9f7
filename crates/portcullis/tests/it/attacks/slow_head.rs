//! Connections that send a request a byte at a time, or nothing at all, until no other client gets
//! one.

use portcullis_testkit::raw;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{ALICE, BOUND, Naive, Setup, echo, text};

#[tokio::test]
async fn a_connection_that_says_nothing_is_not_kept() {
    let server = Naive::start("honest").await;
    let (_, rest) = server.url.split_once("://").unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    let mut bare = TcpStream::connect(address).await.unwrap();
    bare.write_all(b"POST /mcp HTTP/1.1\r\nHost: ")
        .await
        .unwrap();

    let recorder = portcullis_testkit::Recorder::start().await.unwrap();
    let setup = Setup::new()
        .clients()
        .limits("connections_max = 4\nhead_timeout = \"500ms\"");
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    let mut held = Vec::new();
    for bytes in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: ",
    ] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        held.push(stream);
    }
    // All places are taken, and become free without anybody giving them up.
    assert_eq!(text(gateway.of(ALICE).echo(&[]).await).await, "hello");
    for mut stream in held {
        let mut rest = Vec::new();
        let closed = timeout(BOUND, stream.read_to_end(&mut rest)).await;
        drop(closed.expect("the gateway closes it"));
    }

    // The bare server has waited all that time, and still does.
    let body = raw::modern(1, "tools/call", echo("late")).to_string();
    let end = format!("x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    bare.write_all(end.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(BOUND, bare.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}
