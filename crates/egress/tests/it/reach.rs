//! Where requests may go.

use std::sync::atomic::Ordering;

use portcullis_egress::{Egress, EgressError, Reach, Refusal, Settings};

use crate::support::{Names, Server, get};

#[track_caller]
fn refusal(result: Result<String, EgressError>) -> Refusal {
    match result {
        Err(error @ EgressError::Refused { refusal, .. }) => {
            assert!(!error.retryable());
            refusal
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_notation_of_a_private_address_is_public() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let names = Names::new(&[
        ("localhost", &[&["127.0.0.1"]]),
        ("loopback.test", &[&["::1"]]),
        ("mixed.test", &[&["1.1.1.1", "127.0.0.1"]]),
        ("mapped.test", &[&["::ffff:127.0.0.1"]]),
        ("nat64.test", &[&["64:ff9b::7f00:1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
    ]);
    let settings = Settings {
        allow_plain_http: true,
        ..Settings::default()
    };
    let egress = Egress::with_resolver(&settings, &names.resolver()).unwrap();
    let client = egress.client(Reach::Public);
    for host in [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "[::1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001::80ff:fffe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "localhost",
        "LOCALHOST",
        "loopback.test",
        "mixed.test",
        "mapped.test",
        "nat64.test",
        "metadata.test",
    ] {
        for scheme in ["http", "https"] {
            let result = get(client, &format!("{scheme}://{host}:{port}/")).await;
            assert_eq!(refusal(result), Refusal::NotPublic, "{host}");
        }
    }
    for host in [
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "127.1",
        "localhost.",
        "user@127.0.0.1",
    ] {
        let result = get(client, &format!("http://{host}:{port}/")).await;
        assert!(
            matches!(result, Err(EgressError::Host(_) | EgressError::Address)),
            "{host}: {result:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_configured_name_may_be_private_but_no_metadata_service() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let names = Names::new(&[
        ("internal.test", &[&["127.0.0.1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("mapped.test", &[&["::ffff:169.254.169.254"]]),
        ("nat64.test", &[&["64:ff9b::a9fe:a9fe"]]),
        ("link.test", &[&["fe80::1"]]),
        ("both.test", &[&["127.0.0.1", "169.254.0.1"]]),
    ]);
    let settings = Settings {
        allow_plain_http: true,
        ..Settings::default()
    };
    let egress = Egress::with_resolver(&settings, &names.resolver()).unwrap();
    let client = egress.client(Reach::Configured);
    for host in ["internal.test", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(get(client, &url).await.unwrap(), "HTTP/1.1 /", "{host}");
    }
    let reached = server.connections();
    for host in [
        "metadata.test",
        "mapped.test",
        "nat64.test",
        "link.test",
        "both.test",
    ] {
        let result = get(client, &format!("http://{host}:{port}/")).await;
        assert_eq!(refusal(result), Refusal::LinkLocal, "{host}");
    }
    assert_eq!(server.connections(), reached);
}

#[tokio::test]
async fn plain_http_stays_on_this_machine() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let names = Names::new(&[
        ("local.test", &[&["127.0.0.1"]]),
        ("far.test", &[&["192.0.2.1"]]),
        ("public.test", &[&["1.1.1.1"]]),
    ]);
    let egress = Egress::with_resolver(&Settings::default(), &names.resolver()).unwrap();
    let configured = egress.client(Reach::Configured);
    assert!(
        get(configured, &format!("http://local.test:{port}/"))
            .await
            .is_ok()
    );
    for url in ["http://far.test/", "http://192.0.2.1/"] {
        assert_eq!(refusal(get(configured, url).await), Refusal::Unencrypted);
    }
    let public = egress.client(Reach::Public);
    let result = get(public, "http://public.test/").await;
    assert_eq!(refusal(result), Refusal::Unencrypted);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let server = Server::start(None).await;
    let port = server.address.port();
    // Checked the first time, dialled the second: if there were a second time.
    let names = Names::new(&[("rebind.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let egress = Egress::with_resolver(&Settings::default(), &names.resolver()).unwrap();
    let url = format!("http://rebind.test:{port}/");
    assert!(get(egress.client(Reach::Configured), &url).await.is_ok());
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.connections(), 1);

    // Nor does the connection that one client may keep serve the other.
    let result = get(egress.client(Reach::Public), &url).await;
    assert_eq!(refusal(result), Refusal::NotPublic);
    assert_eq!((server.connections(), server.requests()), (1, 1));
}

#[tokio::test]
async fn an_error_names_no_address_that_was_not_asked_for() {
    let names = Names::new(&[("internal.test", &[&["10.20.30.40"]])]);
    let egress = Egress::with_resolver(&Settings::default(), &names.resolver()).unwrap();
    let error = get(egress.client(Reach::Public), "https://internal.test/")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`internal.test` may not be reached: it is not on the public internet, and nobody \
         configured it"
    );
    assert!(!format!("{error:?}").contains("10.20"));
}
