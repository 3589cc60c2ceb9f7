use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncWriteExt, duplex};

use super::*;

/// What a client says first that asks for this name; an address is asked for by no name.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Reads these bytes, which arrive in pieces of this size and are followed by nothing.
async fn read_in(bytes: &[u8], piece: usize) -> Result<Hello, Reason> {
    let (mut near, mut far) = duplex(1 << 17);
    for piece in bytes.chunks(piece) {
        far.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(far);
    read(&mut near).await
}

fn host(text: &str) -> Host {
    Host::canonical(text).unwrap()
}

/// Puts each so many bytes of the message in a record of its own (RFC 8446 §5.1).
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let records = hello[5..].chunks(size).flat_map(|part| {
        let size = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &size[..], part].concat()
    });
    records.collect()
}

#[tokio::test]
async fn the_name_is_found_however_the_message_is_cut_up() {
    let bytes = hello("api.test");
    for piece in [1, 7, 100, bytes.len()] {
        let read = read_in(&bytes, piece).await.unwrap();
        assert_eq!(read.name, Some(host("api.test")));
        assert_eq!(read.bytes, bytes);
    }
    for size in [1, 50, 1000] {
        let bytes = in_records(&bytes, size);
        let read = read_in(&bytes, 11).await.unwrap();
        assert_eq!(read.name, Some(host("api.test")), "{size}");
        assert_eq!(read.bytes, bytes);
    }
}

#[tokio::test]
async fn a_message_names_one_host_or_none() {
    let named = read_in(&hello("api.test"), 100).await.unwrap();
    assert_eq!(named.names(&host("api.test")), Ok(()));
    assert_eq!(named.names(&host("other.test")), Err(Reason::ServerName));
    assert_eq!(named.names(&host("192.0.2.1")), Err(Reason::ServerName));
    let unnamed = read_in(&hello("192.0.2.1"), 100).await.unwrap();
    assert_eq!(unnamed.name, None);
    assert_eq!(unnamed.names(&host("192.0.2.1")), Ok(()));
    assert_eq!(unnamed.names(&host("api.test")), Err(Reason::NoServerName));
}

/// The same message with another name of the same length in it.
async fn renamed(name: &[u8; 8]) -> Result<Option<Host>, Reason> {
    let mut bytes = hello("api.test");
    let at = bytes.windows(8).position(|it| it == b"api.test").unwrap();
    bytes[at..at + 8].copy_from_slice(name);
    read_in(&bytes, 4096).await.map(|hello| hello.name)
}

#[tokio::test]
async fn a_name_in_another_notation_is_none() {
    assert_eq!(renamed(b"API.Test").await, Ok(Some(host("api.test"))));
    for name in [
        b"api.tes.",
        b"api\0test",
        b"api.t\0st",
        b"api_test",
        b".pi.test",
        b"api..est",
        b"api test",
        b"api%test",
        b"127.0.01",
        b"127.0.0.",
        b"0x7f.0.1",
        b"1.2.3.44",
        b"xn--a.te",
        b"api.te\xe9t",
        b"-pi.test",
    ] {
        let read = renamed(name).await;
        assert!(
            matches!(read, Err(Reason::NotCanonical | Reason::NotTls) | Ok(None)),
            "{name:?}: {read:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_such_message_is_refused() {
    let bytes = hello("api.test");
    for (bytes, reason) in [
        (Vec::new(), Reason::Closed),
        (bytes[..bytes.len() - 1].to_vec(), Reason::NotTls),
        (
            b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n".to_vec(),
            Reason::NotTls,
        ),
        // TLS, but another message; and one that is never complete.
        ([&[22, 3, 1, 0, 4, 2], &[0; 3][..]].concat(), Reason::NotTls),
        (
            [
                &[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..],
                &vec![0; 1 << 15],
            ]
            .concat(),
            Reason::NotTls,
        ),
        // SSL 2 (RFC 5246 §E.2).
        (
            b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10".to_vec(),
            Reason::NotTls,
        ),
    ] {
        let read = read_in(&bytes, 4096).await;
        assert_eq!(read.unwrap_err(), reason, "{:?}", bytes.get(..16));
    }
}
