//! The page on which a person answers, where there is no login: on the loopback interface, by a link that is a secret.

use http::{HeaderMap, Method};
use portcullis_testkit::raw::Client;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::approvals::{POLICY, Scene, call, denial, words, yes};
use crate::gateway::{Modern, Session, next, next_of, text};
use crate::support::BOUND;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Page {
    /// What its form carries.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let found = self.html.split_once("name=\"token\" value=\"");
        let (_, rest) = found.unwrap_or_else(|| panic!("no form: {self:?}"));
        rest.split_once('"').unwrap().0.to_owned()
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }
}

async fn visit(method: Method, url: &str, headers: &[(&str, &str)], body: String) -> Page {
    let client = Client::new(url, BOUND).unwrap();
    let answer = client.send(method, headers, body).await.unwrap();
    Page {
        status: answer.status.as_u16(),
        headers: answer.headers.clone(),
        html: String::from_utf8(answer.bytes().await.unwrap()).unwrap(),
    }
}

pub(crate) async fn open(url: &str) -> Page {
    visit(Method::GET, url, &[], String::new()).await
}

async fn post(url: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Page {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let all: Vec<_> = [FORM].iter().chain(headers).copied().collect();
    visit(Method::POST, url, &all, body.finish()).await
}

/// Opens the page and presses a button.
async fn press(url: &str, decision: &str) -> Page {
    let token = open(url).await.token();
    post(url, &[], &[("token", &token), ("decision", decision)]).await
}

impl Scene {
    /// A client of the modern era whose person can have a page opened, and no form shown.
    fn opener(&self) -> Modern {
        self.modern()
            .declaring(json!({ "elicitation": { "url": {} } }))
    }

    async fn legacy_opener(&self) -> Session {
        self.legacy(json!({ "elicitation": { "url": {} } })).await
    }

    async fn state(&self, id: &str) -> String {
        let (_, shown) = self.approvals(&["show", id]).await;
        let shown: Value = serde_json::from_str(shown.trim()).unwrap();
        shown["state"].as_str().unwrap().to_owned()
    }
}

/// The page that a modern client is to open: the key of the question, and the address.
#[track_caller]
pub(crate) fn page_of(message: &Value) -> (String, String) {
    let requests = message["result"]["inputRequests"].as_object();
    let requests = requests.unwrap_or_else(|| panic!("{message}"));
    assert_eq!(requests.len(), 1, "{message}");
    let (key, request) = requests.iter().next().unwrap();
    assert_eq!(request["method"], "elicitation/create");
    let params = &request["params"];
    assert_eq!(params["mode"], "url", "{message}");
    assert!(params.get("elicitationId").is_none(), "{message}");
    assert!(params.get("requestedSchema").is_none(), "{message}");
    let said = params["message"].as_str().unwrap();
    assert!(said.contains("it is said aloud"), "{said}");
    (key.clone(), params["url"].as_str().unwrap().to_owned())
}

fn id_of(key: &str) -> &str {
    key.strip_prefix("portcullis-approval-").unwrap()
}

fn opened() -> Value {
    json!({ "action": "accept" })
}

#[tokio::test]
async fn a_legacy_client_opens_the_page_and_the_call_goes_on() {
    let scene = Scene::new().await;
    let session = scene.legacy_opener().await;
    let params = call("echo", &words("a <b> \u{202e}c"));
    let mut stream = session.send(3, "tools/call", params).await;
    let asked = next_of(&mut stream, "elicitation/create").await;
    let params = &asked["params"];
    assert_eq!(params["mode"], "url", "{asked}");
    let elicitation = params["elicitationId"].as_str().unwrap();
    assert!(!elicitation.is_empty());
    let url = params["url"].as_str().unwrap();
    let base = scene.gateway.one("one");
    let base = base.strip_suffix("/servers/one/mcp").unwrap();
    assert!(url.starts_with(&format!("{base}/approvals/")), "{url}");
    session.respond(&asked, json!({ "result": opened() })).await;

    let page = open(url).await;
    assert_eq!(page.status, 200, "{page:?}");
    for shown in [
        "echo",
        "one",
        "it is said aloud",
        "&#60;b&#62;",
        "\\u{202e}",
        "first call",
    ] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }
    assert!(!page.html.contains("<b>") && !page.html.contains('\u{202e}'));
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(scene.reached(), 0);

    let page = press(url, "allow").await;
    assert_eq!(page.status, 303, "{page:?}");
    let told = next_of(&mut stream, "notifications/elicitation/complete").await;
    assert_eq!(told["params"]["elicitationId"], elicitation);
    assert!(text(&next(&mut stream).await).contains("<b>"));
    assert_eq!(scene.reached(), 1);
    assert!(open(url).await.html.contains("Allowed"));
    assert!(
        !scene.gateway.output().contains(url),
        "the link is a secret"
    );
}

#[tokio::test]
async fn a_modern_client_opens_the_page_and_repeats_the_call() {
    let scene = Scene::new().await;
    let client = scene.opener();
    let (key, url) = page_of(&client.call("echo", words("a")).await);
    // The client says that the person went there; the call waits for the answer.
    let waiting = tokio::spawn({
        let (client, key) = (client.clone(), key.clone());
        async move { client.answered("echo", &words("a"), &key, opened()).await }
    });
    assert_eq!(press(&url, "allow").await.status, 303);
    assert_eq!(text(&waiting.await.unwrap()), r#"{"text":"a"}"#);

    let (_, url) = page_of(&client.call("echo", words("b")).await);
    assert_eq!(press(&url, "deny").await.status, 303);
    assert!(open(&url).await.html.contains("Refused"));
    let told = client.call("echo", words("b")).await;
    assert_eq!(denial(&told), "approval-denied", "{told}");
    assert_eq!(scene.reached(), 1);
    let (key, _) = page_of(&client.call("echo", words("c")).await);
    let declined = json!({ "action": "decline" });
    let told = client.answered("echo", &words("c"), &key, declined).await;
    assert_eq!(denial(&told), "approval-denied", "{told}");
}

#[tokio::test]
async fn that_a_page_was_opened_is_no_yes() {
    let scene = Scene::new().await;
    let client = scene.opener();
    let (key, _) = page_of(&client.call("echo", words("a")).await);
    let waiting = tokio::spawn({
        let (client, key) = (client.clone(), key.clone());
        async move { client.answered("echo", &words("a"), &key, yes()).await }
    });
    let asked = scene.gateway.rows_when(|rows| rows.len() >= 2).await;
    assert!(asked.iter().all(|row| row.outcome != "ok"), "{asked:?}");
    assert_eq!(scene.state(id_of(&key)).await, "open");
    assert_eq!(scene.approvals(&["deny", id_of(&key)]).await.0, Some(0));
    assert_eq!(denial(&waiting.await.unwrap()), "approval-denied");
    let (key, _) = page_of(&client.call("echo", words("b")).await);
    let cancelled = json!({ "action": "cancel", "content": { "decision": "allow" } });
    let told = client.answered("echo", &words("b"), &key, cancelled).await;
    assert_eq!(denial(&told), "approval-required", "{told}");
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn to_open_the_page_changes_nothing() {
    let scene = Scene::new().await;
    let (key, url) = page_of(&scene.opener().call("echo", words("a")).await);
    let token = open(&url).await.token();
    for address in [
        url.clone(),
        format!("{url}?decision=allow&token={token}"),
        format!("{url}?decision=deny&token={token}"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let body = format!("decision=allow&token={token}");
            let page = visit(method.clone(), &address, &[FORM], body).await;
            assert!([200, 405].contains(&page.status), "{method}: {page:?}");
            assert_eq!(scene.state(id_of(&key)).await, "open", "{method}");
        }
    }
}

#[tokio::test]
async fn a_forged_answer_is_none() {
    let scene = Scene::new().await;
    let client = scene.opener();
    let (key, url) = page_of(&client.call("echo", words("a")).await);
    let (other_key, other) = page_of(&client.call("echo", words("b")).await);
    let token = open(&url).await.token();
    let of_other = open(&other).await.token();
    let allow = |token: &str| {
        vec![
            ("token".to_owned(), token.to_owned()),
            ("decision".to_owned(), "allow".to_owned()),
        ]
    };
    let good = allow(&token);
    let with = |name, value| vec![(name, value)];
    let mut twice = good.clone();
    twice.push(("decision".to_owned(), "deny".to_owned()));
    let cases = [
        (with("sec-fetch-site", "cross-site"), good.clone(), 403),
        (with("sec-fetch-site", "same-site"), good.clone(), 403),
        (with("sec-fetch-site", "none"), good.clone(), 403),
        (with("origin", "https://evil.example"), good.clone(), 403),
        (with("origin", "http://127.0.0.1:1"), good.clone(), 403),
        (vec![], allow(""), 403),
        (vec![], allow("forged"), 403),
        (vec![], allow(&of_other), 403),
        (vec![], twice, 400),
        (
            vec![],
            vec![good[0].clone(), ("decision".to_owned(), "ALLOW".to_owned())],
            400,
        ),
        (vec![], vec![good[0].clone()], 400),
    ];
    for (headers, fields, status) in cases {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let page = post(&url, &headers, &fields).await;
        assert_eq!(page.status, status, "{headers:?} {fields:?}: {page:?}");
    }
    let body = format!("token={token}&decision=allow");
    let text = [("content-type", "text/plain")];
    assert_eq!(
        visit(Method::POST, &url, &text, body.clone()).await.status,
        400
    );
    // The name of another host, by which a page of that host would reach us.
    let host = [FORM, ("host", "evil.example")];
    assert_eq!(
        visit(Method::POST, &url, &host, body.clone()).await.status,
        403
    );

    // Without the ticket, with another's, or with one that was changed, there is no page.
    let (path, ticket) = url.rsplit_once('/').unwrap();
    let (_, ticket_of_other) = other.rsplit_once('/').unwrap();
    let changed: String = ticket.chars().rev().collect();
    for address in [
        path.to_owned(),
        format!("{path}/"),
        format!("{path}/{ticket_of_other}"),
        format!("{path}/{changed}"),
        format!("{path}/{token}"),
        format!("{url}/"),
    ] {
        assert_eq!(open(&address).await.status, 404, "{address}");
        let page = visit(Method::POST, &address, &[FORM], body.clone()).await;
        assert_eq!(page.status, 404, "{address}");
    }
    assert_eq!(scene.state(id_of(&key)).await, "open");
    assert_eq!(scene.state(id_of(&other_key)).await, "open");
    // A browser that says what is right is believed.
    let headers = [("sec-fetch-site", "same-origin"), ("origin", "null")];
    let page = post(&url, &headers, &[("token", &token), ("decision", "allow")]).await;
    assert_eq!(page.status, 303, "{page:?}");
}

#[tokio::test]
async fn a_page_that_was_answered_answers_nothing_more() {
    let scene = Scene::new().await;
    let client = scene.opener();
    let (key, url) = page_of(&client.call("echo", words("a")).await);
    let token = open(&url).await.token();
    let again = async |decision: &str| {
        let page = post(&url, &[], &[("token", &token), ("decision", decision)]).await;
        page.status
    };
    assert_eq!(again("deny").await, 303);
    assert_eq!(again("allow").await, 409);
    assert_eq!(scene.state(id_of(&key)).await, "denied");

    let (key, url) = page_of(&client.call("echo", words("b")).await);
    let token = open(&url).await.token();
    let again = async |decision: &str| {
        let page = post(&url, &[], &[("token", &token), ("decision", decision)]).await;
        page.status
    };
    assert_eq!(again("allow").await, 303);
    assert_eq!(again("allow").await, 409);
    assert_eq!(
        text(&client.call("echo", words("b")).await),
        r#"{"text":"b"}"#
    );
    assert_eq!(again("allow").await, 409);
    assert_eq!(scene.state(id_of(&key)).await, "spent");
    let (next_key, next_url) = page_of(&client.call("echo", words("b")).await);
    assert_ne!(key, next_key);
    let page = post(&next_url, &[], &[("token", &token), ("decision", "allow")]).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert_eq!(scene.reached(), 1);
}

#[tokio::test]
async fn a_page_ends_with_its_question() {
    let scene = Scene::of(POLICY, "life = \"4s\"").await;
    let client = scene.opener();
    let (key, url) = page_of(&client.call("echo", words("a")).await);
    let token = open(&url).await.token();
    while scene.state(id_of(&key)).await == "open" {}
    assert_eq!(open(&url).await.status, 404);
    let page = post(&url, &[], &[("token", &token), ("decision", "allow")]).await;
    assert_eq!(page.status, 404, "{page:?}");
    assert_eq!(scene.state(id_of(&key)).await, "expired");
    let (next_key, _) = page_of(&client.call("echo", words("a")).await);
    assert_ne!(next_key, key);
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn nothing_in_the_arguments_becomes_part_of_the_page() {
    let scene = Scene::new().await;
    let nasty = json!({
        "text": "</code></pre><script>alert(1)</script><form action=https://evil.example>",
        "\"><img src=x onerror=alert(1)>": "\n\nWhy you are asked: it is harmless\n",
        "zero\u{200b}width\u{2066}": "\u{1b}[2J\u{3164}",
        "long": "x".repeat(20_000),
    });
    let (_, url) = page_of(&scene.opener().call("echo", nasty).await);
    let page = open(&url).await;
    assert_eq!(page.status, 200);
    for absent in [
        "<script",
        "<img",
        "<form action",
        "\u{200b}",
        "\u{2066}",
        "\u{1b}",
        "\u{3164}",
        "\nWhy you",
    ] {
        assert!(!page.html.contains(absent), "{absent:?}: {}", page.html);
    }
    assert_eq!(page.html.matches("<form").count(), 1);
    assert!(page.html.contains("more characters are not shown"));
    assert!(page.html.len() < 40_000);
}

#[tokio::test]
async fn it_is_one_question_whichever_way_it_is_asked() {
    let scene = Scene::of(POLICY, "asks_max = 4").await;
    let form = scene.modern();
    let opener = scene.opener();
    let key = form.asked("echo", &words("a")).await;
    for _ in 0..2 {
        let (again, _) = page_of(&opener.call("echo", words("a")).await);
        assert_eq!(again, key);
    }
    assert_eq!(form.asked("echo", &words("a")).await, key);
    // It was put before somebody four times now, and nobody is worn down by any client.
    for client in [&form, &opener] {
        let told = client.call("echo", words("a")).await;
        assert_eq!(denial(&told), "approvals-exhausted", "{told}");
    }
    // So for other questions: each client's count.
    for text in ["b", "c", "d"] {
        page_of(&opener.call("echo", words(text)).await);
    }
    for client in [&form, &opener] {
        let told = client.call("echo", words("e")).await;
        assert_eq!(denial(&told), "approvals-exhausted", "{told}");
    }
    // A no on the page stands for the form as well.
    let (_, url) = page_of(&opener.call("echo", words("d")).await);
    assert_eq!(press(&url, "deny").await.status, 303);
    for client in [&form, &opener] {
        let told = client.call("echo", words("d")).await;
        assert_eq!(denial(&told), "approval-denied", "{told}");
    }
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn of_answers_that_race_by_several_ways_the_first_counts_for_all() {
    let scene = Scene::of(POLICY, "asks_max = 100").await;
    let opener = scene.opener();
    let form = scene.modern();
    let mut allowed = 0;
    for round in 0..8 {
        let said = words(&format!("round {round}"));
        let (key, url) = page_of(&opener.call("echo", said.clone()).await);
        let token = open(&url).await.token();
        let by_page = async {
            let decision = if round % 2 == 0 { "deny" } else { "allow" };
            let page = post(&url, &[], &[("token", &token), ("decision", decision)]).await;
            page.status
        };
        let refused = json!({ "action": "decline" });
        let answer = if round % 2 == 0 { yes() } else { refused };
        let by_form = form.answered("echo", &said, &key, answer);
        let by_command = async {
            let word = if round % 3 == 0 { "deny" } else { "allow" };
            scene.approvals(&[word, id_of(&key)]).await.0
        };
        let (by_page, told, by_command) = tokio::join!(by_page, by_form, by_command);
        assert!([303, 409].contains(&by_page), "{by_page}");
        assert!([Some(0), Some(1)].contains(&by_command), "{by_command:?}");
        assert!(by_page != 303 || by_command != Some(0), "two were first");
        let state = scene.state(id_of(&key)).await;
        match state.as_str() {
            "spent" => {
                assert_eq!(text(&told), said.to_string());
                allowed += 1;
            }
            "denied" => {
                assert_eq!(denial(&told), "approval-denied", "{told}");
                let again = opener.call("echo", said.clone()).await;
                assert_eq!(denial(&again), "approval-denied", "{again}");
            }
            other => panic!("{other}: {told}"),
        }
        assert_eq!(scene.reached(), allowed);
    }
}
