//! Requests and responses over plain connections.

use std::time::Duration;

use portcullis_egress::{Egress, EgressError, Reach, Resolver, Settings};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Names, Server, get};

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(None).await;
    let egress = Egress::new(&Settings::default()).unwrap();
    for path in ["/a", "/b", "/c"] {
        // A clone shares the pool.
        let client = egress.clone().client(Reach::Configured).clone();
        let url = format!("http://{}{path}", server.address);
        assert_eq!(
            get(&client, &url).await.unwrap(),
            format!("HTTP/1.1 {path}")
        );
    }
    assert_eq!((server.connections(), server.requests()), (1, 3));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start(None).await;
    let egress = Egress::new(&Settings::default()).unwrap();
    let url = format!("http://{}/redirect", server.address);
    let text = get(egress.client(Reach::Configured), &url).await.unwrap();
    assert_eq!(text, "HTTP/1.1 /redirect");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_systems_resolver_knows_this_machine() {
    let server = Server::start(None).await;
    let egress = Egress::with_resolver(&Settings::default(), &Resolver::System).unwrap();
    let url = format!("http://localhost:{}/", server.address.port());
    assert!(get(egress.client(Reach::Configured), &url).await.is_ok());
}

#[tokio::test]
async fn what_was_not_sent_may_be_sent_again() {
    let names = Names::new(&[("closed.test", &[&["127.0.0.1"]])]);
    let egress = Egress::with_resolver(&Settings::default(), &names.resolver()).unwrap();
    let client = egress.client(Reach::Configured);

    let error = get(client, "https://unknown.test/").await.unwrap_err();
    assert!(matches!(error, EgressError::Resolve { .. }), "{error:?}");
    assert!(error.retryable());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = get(client, &format!("http://closed.test:{port}/"))
        .await
        .unwrap_err();
    assert!(error.retryable());
    assert_eq!(
        error.to_string(),
        format!("no connection to `closed.test` at port {port}; check that the server runs")
    );
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tcp.write_all(b"this is not HTTP\r\n\r\n").await.ok();
        }
    });
    let egress = Egress::new(&Settings::default()).unwrap();
    let error = get(
        egress.client(Reach::Configured),
        &format!("http://{address}/"),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, EgressError::Exchange { .. }), "{error:?}");
    assert!(!error.retryable());
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings {
        connect_timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    let egress = Egress::new(&settings).unwrap();
    // The kernel accepts, and nobody ever speaks.
    let error = get(
        egress.client(Reach::Configured),
        &format!("https://{address}/"),
    )
    .await
    .unwrap_err();
    assert!(error.retryable());
    assert_eq!(
        error.to_string(),
        "no connection to `127.0.0.1` in 50ms; check that the server is reachable"
    );
    drop(listener);
}
