//! The API by which others answer: who may, and who may not answer for their own calls.

use http::Method;
use portcullis_oauth::api_key::{self, NewKey};
use portcullis_store::Store;
use portcullis_testkit::raw::{Answer, Client};
use serde_json::{Value, json};

use crate::approvals::{Scene, call, denial, words};
use crate::gateway::{Modern, text};
use crate::oauth_support::now_s;
use crate::support::{ALICE, BOUND};

const SCOPE: &str = "portcullis:approvals";

impl Scene {
    /// A new API key with these scopes; `None`: everything.
    async fn key(&self, name: &str, scopes: Option<&str>) -> String {
        let database = self.gateway.place.path().join("state/portcullis.db");
        let store = Store::open_beside(&database, portcullis_store::Settings::default()).unwrap();
        let new = NewKey {
            name,
            subject: name,
            scopes: scopes.map(|scopes| scopes.parse().unwrap()),
            resources: None,
            ttl_ms: 60_000 * 60,
        };
        let minted = api_key::mint(&store, new, now_s() * 1000).await.unwrap();
        store.close().await;
        minted.key.to_string()
    }

    async fn api(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let url = self.gateway.all();
        let base = url.strip_suffix("/mcp").unwrap();
        let client = Client::new(&format!("{base}{path}"), BOUND).unwrap();
        client.send(method, headers, body.to_owned()).await.unwrap()
    }

    /// What the API says to whoever has this key: the status, and the document.
    async fn as_key(&self, key: &str, method: Method, path: &str, body: &str) -> (u16, Value) {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("authorization", &*authorization),
            ("content-type", "application/json"),
        ];
        let answer = self.api(method, path, &headers, body).await;
        let status = answer.status.as_u16();
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        let expected = if status == 200 {
            "application/json"
        } else {
            "application/problem+json"
        };
        assert_eq!(kind, expected);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let json: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        if status != 200 {
            assert_eq!(json["status"], status, "{json}");
            assert!(
                json["title"].is_string() && json["detail"].is_string(),
                "{json}"
            );
        }
        (status, json)
    }
}

fn at(id: &str) -> String {
    format!("/admin/approvals/{id}")
}

const ALLOW: &str = r#"{"decision":"allow"}"#;
const DENY: &str = r#"{"decision":"deny"}"#;

#[tokio::test]
async fn who_has_the_scope_lists_and_answers() {
    let scene = Scene::new().await;
    let carol = scene.key("carol", Some(SCOPE)).await;
    let (status, listed) = scene
        .as_key(&carol, Method::GET, "/admin/approvals", "")
        .await;
    assert_eq!((status, &listed["approvals"]), (200, &json!([])));
    for (decision, said) in [(ALLOW, "a"), (DENY, "b")] {
        let session = scene.legacy(json!({})).await;
        let waiting = tokio::spawn(async move { session.call("echo", words(said)).await });
        let id = loop {
            let (_, listed) = scene
                .as_key(&carol, Method::GET, "/admin/approvals", "")
                .await;
            if let Some(found) = listed["approvals"].as_array().unwrap().first() {
                assert_eq!(found["arguments"], words(said));
                assert_eq!(found["reasons"], json!(["it is said aloud"]));
                break found["id"].as_str().unwrap().to_owned();
            }
        };
        // To look changes nothing.
        let path = format!("{}?decision=allow", at(&id));
        let (status, shown) = scene.as_key(&carol, Method::GET, &path, ALLOW).await;
        assert_eq!((status, &shown["state"]), (200, &json!("open")), "{shown}");
        let (status, answered) = scene.as_key(&carol, Method::POST, &at(&id), decision).await;
        assert_eq!(status, 200, "{answered}");
        assert_eq!(answered["decided_by"], "carol by the API");
        let told = waiting.await.unwrap();
        if decision == ALLOW {
            assert_eq!(text(&told), words(said).to_string());
        } else {
            assert_eq!(answered["state"], "denied");
            assert_eq!(denial(&told), "approval-denied");
        }
        let (status, again) = scene.as_key(&carol, Method::POST, &at(&id), ALLOW).await;
        assert_eq!((status, &again["code"]), (409, &json!("answered")));
    }
    assert_eq!(scene.reached(), 1);
}

#[tokio::test]
async fn who_lacks_the_scope_sees_and_answers_nothing() {
    let scene = Scene::new().await;
    let key = scene.modern().asked("echo", &words("a")).await;
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    let everything = scene.key("everything", None).await;
    let other = scene
        .key("other", Some("one portcullis:approvals.read"))
        .await;
    let nothing = scene.key("nothing", Some("")).await;
    for (method, path, body) in [
        (Method::GET, "/admin/approvals".to_owned(), ""),
        (Method::GET, at(id), ""),
        (Method::GET, at("unknown"), ""),
        (Method::POST, at(id), ALLOW),
    ] {
        // Nobody, even of the same user; a client of the configuration; a key that is none.
        let of_alice = format!("Bearer {ALICE}");
        let cases = [
            None,
            Some(&*of_alice),
            Some("Bearer pck_0123456789ab_forged"),
            Some("Basic YTpi"),
        ];
        for authorization in cases {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(authorization.map(|value| ("authorization", value)));
            let answer = scene.api(method.clone(), &path, &headers, body).await;
            assert_eq!(answer.status, 401, "{authorization:?} {method} {path}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            assert!(challenge.contains(SCOPE), "{challenge}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
        }
        for key in [&everything, &other, &nothing] {
            let authorization = format!("Bearer {key}");
            let headers = [
                ("authorization", &*authorization),
                ("content-type", "application/json"),
            ];
            let answer = scene.api(method.clone(), &path, &headers, body).await;
            assert_eq!(answer.status, 403, "{method} {path}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("insufficient_scope"), "{challenge}");
            assert!(challenge.contains(SCOPE), "{challenge}");
            let said = String::from_utf8(answer.bytes().await.unwrap()).unwrap();
            assert!(!said.contains("said aloud") && !said.contains(id), "{said}");
        }
    }
    assert_eq!(scene.waiting().await.len(), 1);
}

/// A program that was told what to do by what it read has a key for both.
#[tokio::test]
async fn who_made_a_call_does_not_answer_for_it() {
    let scene = Scene::new().await;
    let robot = scene.key("robot", Some("one portcullis:approvals")).await;
    let carol = scene.key("carol", Some(SCOPE)).await;
    let mut client: Modern = scene.modern();
    client.token = Some(Box::leak(robot.clone().into_boxed_str()));
    let key = client.asked("echo", &words("a")).await;
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    for decision in [ALLOW, DENY] {
        let (status, told) = scene.as_key(&robot, Method::POST, &at(id), decision).await;
        assert_eq!((status, &told["code"]), (403, &json!("own-call")), "{told}");
    }
    // Another key of the same owner is no other person.
    let second = scene.key("robot", Some(SCOPE)).await;
    let (status, told) = scene.as_key(&second, Method::POST, &at(id), ALLOW).await;
    assert_eq!((status, &told["code"]), (403, &json!("own-call")), "{told}");
    assert_eq!(scene.reached(), 0);
    let (status, told) = scene.as_key(&carol, Method::POST, &at(id), ALLOW).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        text(&client.call("echo", words("a")).await),
        r#"{"text":"a"}"#
    );
    // And whoever may only answer calls nothing.
    client.token = Some(Box::leak(carol.into_boxed_str()));
    let refused = client
        .send(9, "tools/call", call("echo", &words("b")))
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(scene.reached(), 1);
}

#[tokio::test]
async fn a_malformed_answer_changes_nothing() {
    let scene = Scene::new().await;
    let carol = scene.key("carol", Some(SCOPE)).await;
    let key = scene.modern().asked("echo", &words("a")).await;
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    for body in [
        "",
        "{}",
        "allow",
        r#""allow""#,
        r#"{"decision":"ALLOW"}"#,
        r#"{"decision":true}"#,
        r#"{"decision":"allow","decision":"deny"}"#,
        r#"{"decision":"allow","id":"x"}"#,
        r#"[{"decision":"allow"}]"#,
    ] {
        let (status, told) = scene.as_key(&carol, Method::POST, &at(id), body).await;
        assert_eq!(
            (status, &told["code"]),
            (400, &json!("unreadable")),
            "{body}"
        );
    }
    let authorization = format!("Bearer {carol}");
    let own = ("authorization", &*authorization);
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let evil = ("origin", "https://evil.example");
    let rebound = ("host", "evil.example");
    let in_query = format!("{}?access_token={carol}", at(id));
    for (method, path, headers, status) in [
        (Method::POST, at(id), vec![own], 415),
        (Method::POST, at(id), vec![own, form], 415),
        (Method::POST, at(id), vec![own, json, evil], 403),
        (Method::POST, at(id), vec![own, json, rebound], 403),
        (Method::POST, in_query, vec![json], 400),
        (Method::PUT, at(id), vec![own, json], 405),
        (
            Method::POST,
            "/admin/approvals".to_owned(),
            vec![own, json],
            405,
        ),
        (Method::POST, at("0123"), vec![own, json], 404),
        (Method::POST, at(""), vec![own, json], 404),
        (Method::GET, "/admin/approvalsx".to_owned(), vec![own], 404),
        (Method::GET, "/admin".to_owned(), vec![own], 404),
    ] {
        let answer = scene.api(method.clone(), &path, &headers, ALLOW).await;
        assert_eq!(answer.status, status, "{method} {path} {headers:?}");
    }
    assert_eq!(scene.waiting().await.len(), 1);
    assert_eq!(scene.reached(), 0);
}
