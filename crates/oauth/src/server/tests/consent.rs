//! The consent page and its answer.

use super::*;

async fn page(harness: &Harness) -> Response<Bytes> {
    harness.get(&authorization(&[]), Some(session("ada"))).await
}

#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_the_answer_goes() {
    let harness = harness().await;
    let page = page(&harness).await;
    let text = text(&page);
    for shown in [
        "Desk",
        "Ada &#60;L&#62;",
        "http://127.0.0.1",
        "read your files",
        "read a file",
        "change your files",
        "All servers",
        MCP,
        "any program can pose as it",
        "lang=\"en\"",
        "<label for=\"remember\">",
    ] {
        assert!(text.contains(shown), "{shown} is missing in {text}");
    }
    assert!(!text.contains("<script"));
    // Where the code stays on this machine, it is not remembered for long.
    assert!(text.contains("value=\"30\"") && !text.contains("value=\"90\""));
}

#[tokio::test]
async fn the_page_cannot_be_framed_and_sends_its_form_nowhere_else() {
    let harness = harness().await;
    let page = page(&harness).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:7777"),
        "{policy}"
    );
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert!(page.headers().contains_key("strict-transport-security"));
    assert!(!page.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn saying_no_gives_nothing() {
    let harness = harness().await;
    let page = page(&harness).await;
    let request = field(&page, "request");
    for decision in [Some("deny"), None] {
        let mut parameters = vec![("csrf", "csrf-of-ada"), ("request", &*request)];
        parameters.extend(decision.map(|decision| ("decision", decision)));
        let sent = form(path::CONSENT, &parameters);
        let response = harness.send(sent, Some(session("ada"))).await;
        if decision.is_some() {
            assert_eq!(answer(&response, "error").as_deref(), Some("access_denied"));
            assert_eq!(answer(&response, "iss").as_deref(), Some(BASE));
            assert_eq!(answer(&response, "state").as_deref(), Some("s&t=1"));
        } else {
            // The form was sent before.
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        }
    }
    let events = harness.events().await;
    assert!(
        events
            .iter()
            .any(|it| it.reason.as_deref() == Some("denied"))
    );
    assert!(!events.iter().any(|it| it.kind == "code"));
}

#[tokio::test]
async fn a_form_works_once() {
    let harness = harness().await;
    let page = page(&harness).await;
    let request = field(&page, "request");
    let parameters = [
        ("csrf", "csrf-of-ada"),
        ("request", &*request),
        ("decision", "allow"),
    ];
    let send = || harness.send(form(path::CONSENT, &parameters), Some(session("ada")));
    assert_eq!(send().await.status(), StatusCode::SEE_OTHER);
    assert_eq!(send().await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_form_that_was_open_for_too_long_is_refused() {
    let harness = harness().await;
    let page = page(&harness).await;
    let request = field(&page, "request");
    let parameters = [
        ("csrf", "csrf-of-ada"),
        ("request", &*request),
        ("decision", "allow"),
    ];
    let response = harness
        .server
        .respond_to(
            form(path::CONSENT, &parameters),
            Some(session("ada")),
            PEER,
            NOW + 600_000,
        )
        .await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_remembered_is_not_asked_again_and_nothing_more() {
    let harness = harness().await;
    let target = authorization(&[]);
    let response = harness.allow(&target, &[("remember", "30")]).await;
    assert!(answer(&response, "code").is_some());
    let ask = |changed: &'static [(&str, &str)], account: &'static str| {
        let harness = &harness;
        async move {
            harness
                .get(&authorization(changed), Some(session(account)))
                .await
        }
    };
    // The same, less, and on another port of the same address.
    for changed in [
        &[][..],
        &[("scope", "read")],
        &[("redirect_uri", "http://127.0.0.1:1/callback")],
    ] {
        let response = ask(changed, "ada").await;
        assert!(answer(&response, "code").is_some(), "{changed:?}");
    }
    assert_eq!(
        ask(&[("prompt", "consent")], "ada").await.status(),
        StatusCode::OK
    );
    assert_eq!(
        ask(&[("resource", FILES)], "ada").await.status(),
        StatusCode::OK
    );
    assert_eq!(ask(&[], "bob").await.status(), StatusCode::OK);
    let later = Request::get(target).body(Bytes::new()).unwrap();
    let now_ms = NOW + 30 * 86_400_000;
    let response = harness
        .server
        .respond_to(later, Some(session("ada")), PEER, now_ms)
        .await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn more_than_was_remembered_is_asked() {
    let harness = harness().await;
    harness
        .allow(&authorization(&[("scope", "read")]), &[("remember", "7")])
        .await;
    assert_eq!(page(&harness).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn local_redirects_are_not_remembered_for_longer_than_offered() {
    let harness = harness().await;
    harness
        .allow(&authorization(&[]), &[("remember", "90")])
        .await;
    assert_eq!(page(&harness).await.status(), StatusCode::OK);
}
