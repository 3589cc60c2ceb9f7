//! The page on which a person answers, where there is a login: whose call it is, or who is in a group of approvers.

use portcullis_testkit::Recorder;
use serde_json::{Value, json};
use url::Url;

use crate::approvals::{POLICY, denial};
use crate::approvals_page::page_of;
use crate::oauth_support::{Browser, CALLBACK, Page, redeem, register, token_of};
use crate::support::{ALICE, BOUND, Gateway, Setup, declaring};

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().clients();
    let file = setup.path().join("own.cedar");
    std::fs::write(&file, POLICY).unwrap();
    let tables = format!(
        "[oauth.server]\n[policy]\nfiles = [\"{}\"]\n\
         [policy.approvals]\napprover_groups = [\"approvers\"]\n",
        file.display()
    );
    let setup = setup.with(&tables);
    setup.url("one", &recorder.url(), "modern").start().await
}

/// An access token of whoever sits at the browser.
async fn token(gateway: &Gateway, browser: &mut Browser<'_>) -> String {
    let client = register(gateway, "Desk", &[CALLBACK]).await;
    let code = browser.code(&client, &[("scope", "one")]).await;
    token_of(&redeem(gateway, &client, &code, &[]).await, "access_token")
}

/// What a client that opens pages is told of a call of `echo`.
async fn call(gateway: &Gateway, token: &str, text: &str) -> Value {
    let params = json!({
        "name": "echo",
        "arguments": { "text": text },
        "_meta": declaring(&json!({ "elicitation": { "url": {} } })),
    });
    let answer = gateway.of(token).request(1, "tools/call", params).await;
    answer.message().await.unwrap()
}

/// The path of the page on which a call is asked about.
async fn page_for(gateway: &Gateway, token: &str, text: &str) -> String {
    let (key, url) = page_of(&call(gateway, token, text).await);
    let url = Url::parse(&url).unwrap();
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    assert_eq!(
        url.path(),
        format!("/approvals/{id}"),
        "the link is no secret"
    );
    url.path().to_owned()
}

async fn press(browser: &mut Browser<'_>, path: &str, decision: &str) -> Page {
    let token = browser.get(path).await.field("token");
    browser
        .post(path, &[("token", &token), ("decision", decision)])
        .await
}

#[tokio::test]
async fn whose_call_it_is_answers_on_the_page() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let token = token(&gateway, &mut ada).await;
    let path = page_for(&gateway, &token, "a").await;
    let page = ada.get(&path).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("ada"), "{page:?}");
    assert!(
        page.header("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
    assert_eq!(press(&mut ada, &path, "allow").await.status, 303);
    let told = call(&gateway, &token, "a").await;
    assert_eq!(told["result"]["content"][0]["text"], "a", "{told}");
    assert_eq!(recorder.seen_of("tools/call").len(), 1);
    let id = path.strip_prefix("/approvals/").unwrap();
    let shown = gateway
        .command("approvals", &["show", id])
        .start("decided_by", BOUND);
    let shown = shown.await.unwrap().output();
    assert!(shown.contains("ada by the page"), "{shown}");
}

/// The attacker has a call of their own asked about, and sends the victim the link, or the other way round.
#[tokio::test]
async fn a_page_of_another_is_not_theirs_to_answer() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let mut eve = Browser::logged_in(&gateway, "eve").await;
    let token_of_eve = token(&gateway, &mut eve).await;
    let path = page_for(&gateway, &token_of_eve, "evil").await;

    // Without a login there is only the way to it, and back.
    let mut stranger = Browser::new(&gateway);
    let page = stranger.get(&path).await;
    assert!(
        page.header("location").starts_with("/oauth/login"),
        "{page:?}"
    );
    let forged = stranger
        .post(&path, &[("token", "x"), ("decision", "allow")])
        .await;
    assert!(
        forged.header("location").starts_with("/oauth/login"),
        "{forged:?}"
    );

    let page = ada.get(&path).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text.contains("not yours"), "{page:?}");
    assert!(
        !page.text.contains("evil") && !page.text.contains("<form"),
        "{page:?}"
    );
    // Nor with what was on the other's page, from whichever browser.
    let token = eve.get(&path).await.field("token");
    let fields = [("token", &*token), ("decision", "allow")];
    assert_eq!(ada.post(&path, &fields).await.status, 403);
    let mut other = Browser::new(&gateway);
    other.join("mallory").await;
    assert_eq!(other.post(&path, &fields).await.status, 403);
    // A form of another site, which the browser sends with the cookies.
    for headers in [
        [("sec-fetch-site", "cross-site")],
        [("origin", "https://evil.example")],
    ] {
        let page = eve.post_from(&path, &headers, &fields).await;
        assert_eq!(page.status, 403, "{page:?}");
    }
    page_of(&call(&gateway, &token_of_eve, "evil").await);
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
    let answered = eve.post(&path, &fields).await;
    assert_eq!(
        (answered.status, answered.header("location")),
        (303, &*path)
    );
    assert_eq!(eve.post(&path, &fields).await.status, 409);
}

#[tokio::test]
async fn who_is_in_a_group_of_approvers_answers_for_anybody() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mut boss = Browser::new(&gateway);
    boss.join_in("boss", &["approvers"]).await;
    let mut peer = Browser::new(&gateway);
    peer.join_in("peer", &["approver", "Approvers"]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let token = token(&gateway, &mut ada).await;
    // Of an account, and of a program that has none.
    for token in [token.as_str(), ALICE] {
        let path = page_for(&gateway, token, "a").await;
        assert_eq!(peer.get(&path).await.status, 403);
        assert_eq!(press(&mut boss, &path, "allow").await.status, 303);
        let told = call(&gateway, token, "a").await;
        assert_eq!(told["result"]["content"][0]["text"], "a", "{told}");
    }
    // An account that is called like a program is another's.
    let mut alice = Browser::logged_in(&gateway, "alice").await;
    let path = page_for(&gateway, ALICE, "b").await;
    assert_eq!(alice.get(&path).await.status, 403);
}

/// A gateway that others reach by another name: a link that anybody may open would be no secret there.
#[tokio::test]
async fn where_nobody_could_answer_there_is_no_page() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients();
    let file = setup.path().join("own.cedar");
    std::fs::write(&file, POLICY).unwrap();
    let setup = setup.with(&format!("[policy]\nfiles = [\"{}\"]\n", file.display()));
    let own_lines = "address = \"127.0.0.1:0\"\npublic_url = \"https://gateway.example\"";
    let setup = setup
        .listen(own_lines)
        .url("one", &recorder.url(), "modern");
    let gateway = std::sync::Arc::new(setup.start().await);
    let calling = tokio::spawn({
        let gateway = std::sync::Arc::clone(&gateway);
        async move { call(&gateway, ALICE, "a").await }
    });
    let id = loop {
        let mut listing = gateway
            .command("approvals", &["list", "--json"])
            .start_silent()
            .unwrap();
        listing.wait(BOUND).await.unwrap();
        drop(listing.line_with("\u{0}", BOUND).await);
        let listed: Value = serde_json::from_str(listing.output().trim()).unwrap();
        if let Some(id) = listed["approvals"][0]["id"].as_str() {
            break id.to_owned();
        }
    };
    let path = format!("/approvals/{id}/AAAA");
    assert_eq!(Browser::new(&gateway).get(&path).await.status, 404);
    let denying = gateway.command("approvals", &["deny", &id]).start_silent();
    denying.unwrap().wait(BOUND).await.unwrap();
    assert_eq!(denial(&calling.await.unwrap()), "approval-denied");
}
