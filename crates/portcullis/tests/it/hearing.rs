//! Who may not read a resource does not hear of its changes either: the policies are asked by every way of subscribing.

use std::fs;

use serde_json::{Value, json};

use crate::gateway::{Gateway, Modern, Session, next_of};
use crate::scripted::Script;

/// Everything may be done; of what is in `/vault` nobody hears, of what is in `/desk` only after a person's yes.
const POLICY: &str = r#"@id("all") permit (principal, action, resource);
@id("vault") forbid (principal, action == Action::"subscribe", resource)
when { resource.uri like "file:///vault/*" };
@id("desk") @ask("it does not end")
forbid (principal, action == Action::"subscribe", resource)
when { resource.uri like "file:///desk/*" } unless { context.approved };
"#;
const OPEN: &str = "file:///hall/a";
const CLOSED: [&str; 2] = ["file:///vault/a", "file:///desk/a"];

/// A gateway in front of a server of this era, with or without the policies.
async fn gateway(server_is_modern: bool, guarded: bool) -> (Gateway, crate::scripted::Scripted) {
    let server = Script::of(server_is_modern).tools(&["act"]).start().await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.cedar");
    let all = r#"@id("all") permit (principal, action, resource);"#;
    fs::write(&file, if guarded { POLICY } else { all }).unwrap();
    let policy = format!("[policy]\nfiles = [\"{}\"]\n", file.display());
    let config = policy + &server.entry("one", false, "");
    (Gateway::start_in(place, &config).await, server)
}

fn listening_to(uris: &[&str]) -> Value {
    json!({ "notifications": { "resourceSubscriptions": uris } })
}

/// What the server was asked to tell of.
fn wanted_of(server: &crate::scripted::Scripted) -> String {
    let seen = ["resources/subscribe", "subscriptions/listen"]
        .into_iter()
        .flat_map(|method| server.seen(method));
    seen.map(|seen| seen.message.to_string()).collect()
}

#[tokio::test]
async fn nobody_hears_of_a_resource_that_no_policy_opens() {
    for server_is_modern in [false, true] {
        let (gateway, server) = gateway(server_is_modern, true).await;
        let modern = Modern::at(&gateway.one("one"));
        let legacy = Session::open(&gateway.one("one"), json!({})).await;
        for uri in CLOSED {
            let answer = modern
                .ask("subscriptions/listen", listening_to(&[OPEN, uri]))
                .await;
            let code = &answer["error"]["data"]["code"];
            assert_eq!(code, "forbidden", "{server_is_modern} {uri}: {answer}");
            let answer = legacy
                .ask("resources/subscribe", json!({ "uri": uri }))
                .await;
            let code = &answer["error"]["data"]["code"];
            assert_eq!(code, "forbidden", "{server_is_modern} {uri}: {answer}");
        }
        let wanted = wanted_of(&server);
        assert!(CLOSED.iter().all(|uri| !wanted.contains(uri)), "{wanted}");
    }
}

#[tokio::test]
async fn others_are_heard_of_and_so_is_everything_without_the_policies() {
    for (server_is_modern, guarded) in [(false, true), (true, true), (false, false), (true, false)]
    {
        let (gateway, server) = gateway(server_is_modern, guarded).await;
        let open: &[&str] = if guarded { &[OPEN] } else { &CLOSED };
        let modern = Modern::at(&gateway.one("one"));
        let mut stream = modern
            .send(9, "subscriptions/listen", listening_to(open))
            .await;
        next_of(&mut stream, "notifications/subscriptions/acknowledged").await;
        let legacy = Session::open(&gateway.one("one"), json!({})).await;
        for uri in open {
            let answer = legacy
                .ask("resources/subscribe", json!({ "uri": uri }))
                .await;
            assert_eq!(answer["result"], json!({}), "{answer}");
        }
        let wants = |message: &Value| {
            let message = message.to_string();
            open.iter().any(|uri| message.contains(uri))
        };
        server.sees(wants).await;
    }
}
