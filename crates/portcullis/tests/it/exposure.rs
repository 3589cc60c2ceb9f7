//! A listener that other machines reach has TLS and clients, or does not start.

use http_body_util::{BodyExt as _, Empty};
use hyper::{client::conn::http1, header};
use hyper_util::rt::TokioIo;
use portcullis_testkit::Recorder;
use tempfile::TempDir;

use crate::support::{ALICE, Identity, Setup};

const OPEN: [&str; 2] = ["0.0.0.0:0", "[::]:0"];

#[tokio::test]
async fn without_both_it_refuses_to_start() {
    let directory = TempDir::new().unwrap();
    let identity = Identity::new(directory.path());
    for address in OPEN {
        let plain = format!("address = \"{address}\"");
        let tls = format!("{plain}\n{}", identity.lines);
        let cases = [
            (
                Setup::new().listen(&plain),
                "`listen.tls`, and an `[oauth]` table or an entry in `clients`",
            ),
            (Setup::new().listen(&plain).clients(), "`listen.tls`"),
            (
                Setup::new().listen(&tls),
                "an `[oauth]` table or an entry in `clients`",
            ),
        ];
        for (setup, needs) in cases {
            let (status, output) = setup.refused(&[]).await;
            assert_eq!(status.code(), Some(2), "{output}");
            // A drawing breaks its lines.
            let words: Vec<&str> = output
                .split_whitespace()
                .filter(|word| *word != "│")
                .collect();
            assert!(words.join(" ").contains(needs), "{output}");
            assert!(!output.contains("\"ready\""), "{output}");
        }
    }
}

#[tokio::test]
async fn an_argument_opens_no_more_than_the_file() {
    for setup in [Setup::new(), Setup::new().clients()] {
        let (status, output) = setup.refused(&["--listen", "0.0.0.0:0"]).await;
        assert!(matches!(status.code(), Some(2 | 3)), "{output}");
        assert!(output.contains("`listen.tls`"), "{output}");
        assert!(!output.contains("\"ready\""), "{output}");
    }
}

#[tokio::test]
async fn with_both_it_serves_those_clients() {
    let recorder = Recorder::start().await.unwrap();
    let directory = TempDir::new().unwrap();
    let identity = Identity::new(directory.path());
    let listen = format!("address = \"0.0.0.0:0\"\n{}", identity.lines);
    let setup = Setup::new().listen(&listen).clients();
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    assert!(gateway.harness.url().starts_with("https://0.0.0.0:"));
    let address = ([127, 0, 0, 1], gateway.address().port()).into();
    for (authorization, expected) in [(None, 401), (Some(format!("Bearer {ALICE}")), 405)] {
        let stream = identity.connect(address, "http/1.1").await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/mcp").header(header::HOST, address.to_string());
        let request = authorization.iter().fold(request, |request, value| {
            request.header(header::AUTHORIZATION, value)
        });
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected);
        drop(response.collect().await);
    }
}
