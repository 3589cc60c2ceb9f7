//! Which era a server is found to speak.

use std::sync::Arc;

use portcullis_mcp::{Era, Version};
use portcullis_proxy::config::EraSetting;
use portcullis_proxy::upstream::{Profile, Upstream, UpstreamError};
use tokio::sync::mpsc;

use crate::peer::{Peer, Reply, Seen};
use crate::support::{connect, local, profile, soon, try_connect, upstream};

#[tokio::test]
async fn local_servers_of_every_kind() {
    for (mode, era, version) in [
        ("modern", Era::Modern, Version::V2026_07_28),
        ("legacy", Era::Legacy, Version::V2025_11_25),
        ("silent", Era::Legacy, Version::V2025_11_25),
        ("brittle", Era::Legacy, Version::V2025_11_25),
        ("unsupported", Era::Legacy, Version::V2025_03_26),
    ] {
        let upstream = local(mode, |server| server.probe_timeout = "2s".parse().unwrap());
        // The second connection uses what the first one found out.
        for _ in 0..2 {
            let (connection, mut inbox) = connect(&upstream).await;
            let hello = connection.hello();
            assert_eq!((hello.era, hello.version), (era, version), "{mode}");
            // Attempts that led nowhere are not news.
            assert!(inbox.try_recv().is_err(), "{mode}");
        }
    }
}

#[tokio::test]
async fn the_operator_may_know_better() {
    let (connection, _inbox) =
        connect(&local("modern", |server| server.era = EraSetting::Legacy)).await;
    assert_eq!(connection.hello().era, Era::Legacy);
    let upstream = local("legacy", |server| server.era = EraSetting::Modern);
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Garbage(_)), "{error:?}");
}

fn initialized(seen: &Seen) -> Reply {
    match seen.method().as_str() {
        "initialize" => {
            let version = crate::support::at(&seen.body, &["params", "protocolVersion"]);
            let result = format!(r#"{{"protocolVersion":{version},"capabilities":{{}}}}"#);
            Reply::json(200, seen.result(&result))
        }
        _ => Reply::empty(202),
    }
}

/// What a server that answers `server/discover` by `discover` and takes `initialize` is found to be.
async fn check(
    what: &str,
    discover: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    expected: (Era, Version),
) {
    let mut peer = Peer::start(move |seen| match seen.method().as_str() {
        "server/discover" => discover(seen),
        _ => initialized(seen),
    })
    .await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server.probe_timeout = "500ms".parse().unwrap();
    });
    for _ in 0..2 {
        let (connection, mut inbox) = connect(&upstream).await;
        let hello = connection.hello();
        assert_eq!((hello.era, hello.version), expected, "{what}");
        assert!(inbox.try_recv().is_err(), "{what}");
    }
    let methods = peer.so_far();
    let discovers = methods
        .iter()
        .filter(|method| *method == "server/discover")
        .count();
    // A legacy server is not asked again.
    assert_eq!(
        discovers,
        if expected.0 == Era::Modern { 2 } else { 1 },
        "{what}"
    );
}

#[tokio::test]
async fn http_servers_of_every_kind() {
    let legacy = (Era::Legacy, Version::LATEST_LEGACY);
    let modern = (Era::Modern, Version::LATEST);
    let result = r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#;
    check(
        "modern",
        move |seen| Reply::json(200, seen.result(result)),
        modern,
    )
    .await;
    let without_id = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#;
    check(
        "TypeScript SDK 1.x",
        move |_| Reply::json(400, without_id),
        legacy,
    )
    .await;
    check("bare 400", |_| Reply::empty(400), legacy).await;
    check("bare 404", |_| Reply::empty(404), legacy).await;
    check("bare 405", |_| Reply::empty(405), legacy).await;
    check("a page", |_| Reply::json(200, "<html>"), legacy).await;
    check(
        "200 with an error",
        |seen| Reply::json(200, seen.error(-32601, "")),
        legacy,
    )
    .await;
    check(
        "no result of ours",
        |seen| Reply::json(200, seen.result("{}")),
        legacy,
    )
    .await;
    check("silence", |_| Reply::never(), legacy).await;
    let supported = r#","data":{"supported":["2025-03-26","2025-06-18"],"requested":"2026-07-28"}"#;
    check(
        "-32022 with legacy versions only",
        move |seen| Reply::json(400, seen.error(-32022, supported)),
        (Era::Legacy, Version::V2025_06_18),
    )
    .await;
}

#[tokio::test]
async fn a_modern_server_without_discover_offers_nothing() {
    let peer = Peer::start(|seen| Reply::json(404, seen.error(-32601, ""))).await;
    let (connection, _inbox) =
        connect(&upstream(|server| server.url = Some(peer.url.clone()))).await;
    let hello = connection.hello();
    assert_eq!(
        (hello.era, &hello.capabilities[..]),
        (Era::Modern, &b"{}"[..])
    );
}

#[tokio::test]
async fn refusals_end_the_search() {
    for status in [401, 403, 503] {
        let mut peer = Peer::start(move |_| Reply::empty(status)).await;
        let error = try_connect(&upstream(|server| server.url = Some(peer.url.clone()))).await;
        match error.unwrap_err() {
            UpstreamError::Unauthorized { .. } => assert_eq!(status, 401),
            UpstreamError::Status(found) => assert_eq!(found, status),
            error => panic!("{error:?}"),
        }
        assert_eq!(peer.so_far(), ["server/discover"]);
    }
}

#[tokio::test]
async fn no_version_in_common_is_an_error() {
    let peer = Peer::start(|seen| {
        let result = r#"{"supportedVersions":["2099-01-01"],"capabilities":{}}"#;
        Reply::json(200, seen.result(result))
    })
    .await;
    let error = try_connect(&upstream(|server| server.url = Some(peer.url.clone()))).await;
    assert!(matches!(error, Err(UpstreamError::Garbage(_))));
}

async fn version_of(upstream: &Arc<Upstream>, asked: Version) -> Version {
    let asked = Profile {
        version: Some(asked),
        ..(*profile()).clone()
    };
    let (inbox, _received) = mpsc::channel(1);
    soon(upstream.connect(Arc::new(asked), None, inbox))
        .await
        .unwrap()
        .hello()
        .version
}

#[tokio::test]
async fn a_legacy_server_is_asked_for_the_clients_version() {
    let upstream = local("legacy", |_| {});
    assert_eq!(
        version_of(&upstream, Version::V2025_06_18).await,
        Version::V2025_06_18
    );
    assert_eq!(
        version_of(&upstream, Version::V2026_07_28).await,
        Version::LATEST_LEGACY
    );
}

#[tokio::test]
async fn a_server_that_changes_its_era_is_found_out_anew() {
    let upgraded = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let peer = Peer::start({
        let upgraded = upgraded.clone();
        move |seen| {
            let is_modern = upgraded.load(std::sync::atomic::Ordering::Relaxed);
            match (seen.method().as_str(), is_modern) {
                ("server/discover", true) => {
                    let result = r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#;
                    Reply::json(200, seen.result(result))
                }
                ("initialize", true) => Reply::json(404, seen.error(-32601, "")),
                ("server/discover", false) => Reply::empty(400),
                _ => initialized(seen),
            }
        }
    })
    .await;
    let upstream = upstream(|server| server.url = Some(peer.url.clone()));
    let (connection, _inbox) = connect(&upstream).await;
    assert_eq!(connection.hello().era, Era::Legacy);
    upgraded.store(true, std::sync::atomic::Ordering::Relaxed);
    soon(async {
        while try_connect(&upstream)
            .await
            .map_or(true, |(c, _)| c.hello().era == Era::Legacy)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
