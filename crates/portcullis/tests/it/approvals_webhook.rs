//! Others are told of new questions: signed, repeated, and never in the way of the call.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::approvals::{POLICY, Scene, denial, words, yes};
use crate::gateway::{BOUND, text};

const SECRET: &str = "whsec_aG9vay1jYW5hcnktNWVjN2U3LTAxMjM0NTY3ODk=";

/// Takes what it is told, and answers each with the next of these; 0 is never.
struct Hook {
    told: watch::Sender<Vec<(HeaderMap, Bytes)>>,
    url: String,
    task: JoinHandle<()>,
}

impl Hook {
    async fn start(answers: &'static [u16]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let told: watch::Sender<Vec<(HeaderMap, Bytes)>> = watch::Sender::default();
        let teller = told.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let teller = teller.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let teller = teller.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let mut count = 0;
                        teller.send_modify(|told| {
                            count = told.len();
                            told.push((head.headers, body));
                        });
                        let status = *answers.get(count).or(answers.last()).unwrap();
                        if status == 0 {
                            std::future::pending::<()>().await;
                        }
                        let response = Response::builder().status(status);
                        let response = response.header("location", "/elsewhere");
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { told, url, task }
    }

    fn config(&self, more: &str) -> String {
        format!(
            "asks_max = 100\nwebhook = {{ url = \"{}\", secret = \"{SECRET}\"{more} }}",
            self.url
        )
    }

    /// What it was told, once it was told so often.
    async fn told(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        let mut told = self.told.subscribe();
        let told = told.wait_for(|told| told.len() >= count);
        let told = tokio::time::timeout(BOUND, told).await.unwrap().unwrap();
        told.clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The message, if it is signed as the specification says.
#[track_caller]
fn verified(headers: &HeaderMap, body: &[u8]) -> Value {
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let now = crate::oauth_support::now_s();
    assert!(now.abs_diff(timestamp.parse().unwrap()) < 60, "{timestamp}");
    let key = STANDARD
        .decode(SECRET.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
    hmac::verify(&key, &signed, &STANDARD.decode(signature).unwrap()).unwrap();
    assert_eq!(header("content-type"), "application/json");
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn every_new_question_is_told_once() {
    let hook = Hook::start(&[200]).await;
    let scene = Scene::of(POLICY, &hook.config("")).await;
    let client = scene.modern();
    let key = client.asked("echo", &words("secret-canary")).await;
    assert_eq!(client.asked("echo", &words("secret-canary")).await, key);
    let told = hook.told(1).await;
    let message = verified(&told[0].0, &told[0].1);
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    assert_eq!(message["type"], "approval.asked");
    let data = &message["data"];
    assert_eq!(data["id"], id);
    assert_eq!(
        (&data["server"], &data["tool"], &data["principal"]),
        (&json!("one"), &json!("echo"), &json!("alice"))
    );
    assert_eq!(data["reasons"], json!(["it is said aloud"]));
    assert!(
        data["expires_at"].as_str().unwrap().ends_with('Z'),
        "{data}"
    );
    let answer = data["answer_url"].as_str().unwrap();
    assert!(
        answer.ends_with(&format!("/admin/approvals/{id}")),
        "{answer}"
    );
    // What is called is told, with what is not.
    assert!(data.get("arguments").is_none(), "{data}");
    let all = String::from_utf8_lossy(&told[0].1).into_owned();
    assert!(!all.contains("secret-canary"), "{all}");

    client
        .answered("echo", &words("secret-canary"), &key, yes())
        .await;
    client.asked("echo", &words("other")).await;
    let told = hook.told(2).await;
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].0["webhook-id"], told[1].0["webhook-id"]);
    assert!(!scene.gateway.output().contains(SECRET));
}

#[tokio::test]
async fn exact_arguments_are_told_where_that_is_wanted() {
    let hook = Hook::start(&[200]).await;
    let scene = Scene::of(POLICY, &hook.config(", arguments = true")).await;
    scene.modern().asked("echo", &words("a")).await;
    let told = hook.told(1).await;
    let message = verified(&told[0].0, &told[0].1);
    assert_eq!(message["data"]["arguments"], words("a"));
}

#[tokio::test]
async fn what_was_not_taken_is_told_again_while_it_can_be_answered() {
    let hook = Hook::start(&[500, 307, 200]).await;
    let scene = Scene::of(POLICY, &hook.config("")).await;
    scene.modern().asked("echo", &words("a")).await;
    let told = hook.told(3).await;
    for (headers, body) in &told {
        let message = verified(headers, body);
        assert_eq!(headers["webhook-id"], told[0].0["webhook-id"]);
        assert_eq!(message["type"], "approval.asked");
    }
    // What was answered meanwhile is not told again.
    let hook = Hook::start(&[500]).await;
    let scene = Scene::of(POLICY, &hook.config("")).await;
    let client = scene.modern();
    let key = client.asked("echo", &words("a")).await;
    hook.told(1).await;
    client.answered("echo", &words("a"), &key, yes()).await;
    client.asked("echo", &words("b")).await;
    let told = hook.told(3).await;
    let of_first = told.iter().filter(|told| {
        told.0["webhook-id"]
            == *format!(
                "approval_{}",
                key.strip_prefix("portcullis-approval-").unwrap()
            )
    });
    assert_eq!(of_first.count(), 1);
}

#[tokio::test]
async fn a_webhook_that_fails_or_hangs_is_not_waited_for() {
    let hanging = Hook::start(&[0]).await;
    let gone = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        format!("asks_max = 100\nwebhook = {{ url = \"{url}\", secret = \"{SECRET}\" }}")
    };
    for config in [hanging.config(""), gone] {
        let scene = Arc::new(Scene::of(POLICY, &config).await);
        let began = std::time::Instant::now();
        for n in 0..20 {
            let client = scene.modern();
            let said = words(&n.to_string());
            let key = client.asked("echo", &said).await;
            let answer = if n % 2 == 0 {
                yes()
            } else {
                json!({ "action": "decline" })
            };
            let told = client.answered("echo", &said, &key, answer).await;
            if n % 2 == 0 {
                assert_eq!(text(&told), said.to_string());
            } else {
                assert_eq!(denial(&told), "approval-denied");
            }
        }
        assert_eq!(scene.reached(), 10);
        assert!(
            began.elapsed() < crate::gateway::BOUND / 4,
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_none_is_a_mistake() {
    for (webhook, word) in [
        (
            "{ url = \"https://hooks.example/\", secret = \"short\" }",
            "secret",
        ),
        (
            "{ url = \"http://hooks.example/\", secret = \"SECRET\" }",
            "address",
        ),
        (
            "{ url = \"https://a:b@hooks.example/\", secret = \"SECRET\" }",
            "address",
        ),
    ] {
        let webhook = webhook.replace("SECRET", SECRET);
        let tables = format!("[policy.approvals]\nwebhook = {webhook}\n");
        let setup = crate::support::Setup::new().clients().with(&tables);
        let (status, said) = setup.refused(&[]).await;
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("the webhook's {word}")), "{said}");
        assert!(!said.contains("short\" }") || word == "secret", "{said}");
    }
}
