//! DNS rebinding: a name that is public when it is checked and private when it is dialled. There is no such moment between.

use hickory_proto::rr::RecordType;
use portcullis_testkit::Recorder;
use tokio::net::TcpStream;

use crate::oauth_peers::{Names, Web, challenge, document, plain};
use crate::oauth_support::{Browser, authorization};
use crate::support::{ALICE, Gateway, Setup};
use crate::upstream_auth::{error, with_auth};

/// An address of a block that nobody has been given, so that nobody is behind it and nothing is asked of anybody.
const PUBLIC: &str = "2d00::1";

async fn gateway(names: &Names, url: &str, auth: &str) -> Gateway {
    let scopes = "[oauth.server]\n[scopes.\"one:list\"]\ntools = [\"one/list\"]\n";
    let setup = Setup::new().clients().with(scopes).with(&names.table());
    let settings = match auth {
        "" => format!("url = \"{url}/mcp\""),
        auth => with_auth(url, auth),
    };
    setup.server("one", &settings).start().await
}

/// The name leads a client that resolves it again to this machine.
async fn rebinding(names: &Names, inner: &Web) -> String {
    names.set("rebind.test", &[&[PUBLIC], &["127.0.0.1"]]);
    let host = url::Host::Domain("rebind.test");
    let second = names.plain(&host).unwrap();
    TcpStream::connect((second, inner.address.port()))
        .await
        .unwrap();
    assert_eq!(inner.knocks().await, 1);
    format!("https://rebind.test:{}", inner.address.port())
}

/// One that tells of the refusal, and of the address that was refused.
fn refusal(gateway: &Gateway, host: &str, address: &str) -> bool {
    let output = gateway.harness.output();
    let is = |line: &str| {
        line.contains("an outbound connection was refused")
            && line.contains(host)
            && line.contains(address)
    };
    output.lines().any(is)
}

#[tokio::test]
async fn oauth_rebinding_of_the_host_of_a_client_metadata_document() {
    let (names, inner) = (Names::start().await, Web::start().await);
    let gateway = gateway(&names, &inner.base(), "").await;
    let base = rebinding(&names, &inner).await;
    let mut anybody = Browser::new(&gateway);
    for lookups in 1..=2 {
        let client = format!("{base}/{lookups}");
        let page = anybody.get(&authorization(&gateway, &client, &[])).await;
        assert_eq!(page.status, 400, "{page:?}");
        // The answer that was checked is the one that was dialled.
        assert_eq!(names.asked("rebind.test", RecordType::A), lookups);
        assert_eq!(names.asked("rebind.test", RecordType::AAAA), lookups);
        assert_eq!(inner.knocks().await, 1);
        assert_eq!(refusal(&gateway, "rebind.test", "127.0.0.1"), lookups == 2);
    }
}

#[tokio::test]
async fn oauth_rebinding_of_the_host_of_a_servers_metadata() {
    let (names, inner, server) = (Names::start().await, Web::start().await, Web::start().await);
    names.set("mcp.test", &[&["127.0.0.1"]]);
    let origin = format!("http://mcp.test:{}", server.address.port());
    let auth = "kind = \"oauth\"\nconnection = \"shared\"\naccounts = [\"ada\"]";
    let gateway = gateway(&names, &format!("{origin}/mcp"), auth).await;
    let base = rebinding(&names, &inner).await;
    let resource =
        serde_json::json!({ "resource": format!("{origin}/mcp"), "authorization_servers": [base] });
    server.answer(move |seen| match &*seen.path {
        "/mcp" => challenge("Bearer"),
        "/.well-known/oauth-protected-resource/mcp" => document(&resource),
        _ => plain(404, ""),
    });
    let answer = gateway.of(ALICE).echo(&[]).await.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required");
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for lookups in 1..=2 {
        let page = ada.get("/oauth/upstream/one/connect").await;
        assert!(page.status >= 400, "{page:?}");
        assert!(!page.text.contains("rebind"), "{page:?}");
        assert_eq!(names.asked("rebind.test", RecordType::A), lookups);
        assert_eq!(inner.knocks().await, 1);
    }
    assert!(refusal(&gateway, "rebind.test", "127.0.0.1"));
}

/// A server that the operator configured may be anywhere but where a machine's own credentials are.
#[tokio::test]
async fn oauth_rebinding_of_a_configured_server_to_a_metadata_service() {
    let names = Names::start().await;
    for (name, addresses, is_served) in [
        ("good.test", &["127.0.0.1"][..], true),
        ("metadata.test", &["169.254.169.254"], false),
        ("mapped.test", &["::ffff:169.254.169.254"], false),
        ("both.test", &["127.0.0.1", "169.254.169.254"], false),
        ("six.test", &["127.0.0.1", "fd00:ec2::254"], false),
    ] {
        let recorder = Recorder::start().await.unwrap();
        names.set(name, &[addresses]);
        let url = recorder.url().replace("127.0.0.1", name);
        let setup = Setup::new().clients().with(&names.table());
        let gateway = setup.url("one", &url, "modern").start().await;
        let answer = gateway.of(ALICE).echo(&[]).await.message().await.unwrap();
        let said = answer["result"]["content"][0]["text"] == "hello";
        assert_eq!(said, is_served, "{name}: {answer}");
        assert_eq!(recorder.seen().is_empty(), !is_served, "{name}");
        assert_eq!(refusal(&gateway, name, "an outbound"), !is_served, "{name}");
        assert!(!answer.to_string().contains("169.254"), "{name}: {answer}");
    }
}
