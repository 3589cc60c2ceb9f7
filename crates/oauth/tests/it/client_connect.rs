//! The browser's part: consent before anything, single use, the same browser and account.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use portcullis_oauth::client::Credentials;
use portcullis_oauth::client::settings::{Connection, ServerAuth};
use portcullis_oauth::login::Session;
use serde_json::json;
use url::Url;

use crate::client_support::{Behaviour, Iss, NOW, World, oauth};

const CONNECT: &str = "/oauth/upstream/files/connect";

fn session(account: &str, csrf: &str) -> Session {
    Session {
        account: account.into(),
        display: account.into(),
        groups: vec!["staff".into()],
        authenticated_ms: NOW,
        csrf: csrf.into(),
    }
}

fn ada() -> Session {
    session("ada", "csrf-of-ada")
}

async fn get(credentials: &Credentials, path: &str, who: &Session, now: u64) -> Response<Bytes> {
    let request = Request::get(path).body(Bytes::new()).unwrap();
    credentials.respond_as(request, who, now).await
}

fn form(csrf: &str) -> Request<Bytes> {
    Request::post(CONNECT)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("origin", "http://127.0.0.1:8420")
        .header("sec-fetch-site", "same-origin")
        .body(Bytes::from(format!("csrf={csrf}")))
        .unwrap()
}

/// Approves, and follows the authorization server's redirect: the callback's path with its query.
async fn approved(credentials: &Credentials, who: &Session) -> String {
    let response = credentials.respond_as(form(&who.csrf), who, NOW).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let url = response.headers()["location"].to_str().unwrap().to_owned();
    let client = crate::client_support::egress();
    let request = Request::get(url)
        .body(http_body_util::Full::default())
        .unwrap();
    let client = client.client(portcullis_egress::Reach::Configured);
    let answer = client.request(request).await.unwrap();
    let back = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    format!("{}?{}", back.path(), back.query().unwrap())
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

async fn world() -> (World, Credentials) {
    let world = World::start(Behaviour {
        prm_scopes: Some(vec!["files:read", "<b>files</b>"]),
        ..Behaviour::default()
    })
    .await;
    let credentials = world.credentials(ServerAuth::OAuth(oauth()));
    (world, credentials)
}

#[tokio::test]
async fn a_user_consents_on_our_page_before_anything_begins() {
    let (world, credentials) = world().await;
    let page = get(&credentials, CONNECT, &ada(), NOW).await;
    assert_eq!(page.status(), StatusCode::OK);
    let html = text(&page);
    let host = world.issuer().address.to_string();
    for shown in [
        "files",
        &host,
        "files:read",
        "ada",
        "csrf-of-ada",
        "own machine",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert!(!html.contains("<b>files"), "{html}");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains(&world.issuer().origin()), "{policy}");
    assert!(world.issuer().at("/register").is_empty());
    assert!(world.issuer().at("/authorize").is_empty());

    let back = approved(&credentials, &ada()).await;
    let done = get(&credentials, &back, &ada(), NOW).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(text(&done).contains("connected to files"));
    world.call(&credentials, "ada").await.ok(0);
}

#[tokio::test]
async fn a_form_from_elsewhere_begins_nothing() {
    let (world, credentials) = world().await;
    let mut forged = vec![form("wrong"), form("")];
    // Of a browser that does not know of `Sec-Fetch-Site`, which no page can set.
    let mut other = form("csrf-of-ada");
    other.headers_mut().remove("sec-fetch-site");
    other
        .headers_mut()
        .insert("origin", "https://evil.example".parse().unwrap());
    forged.push(other);
    let mut cross = form("csrf-of-ada");
    cross
        .headers_mut()
        .insert("sec-fetch-site", "cross-site".parse().unwrap());
    forged.push(cross);
    let mut same_site = form("csrf-of-ada");
    same_site
        .headers_mut()
        .insert("sec-fetch-site", "same-site".parse().unwrap());
    forged.push(same_site);
    let mut plain = form("csrf-of-ada");
    plain
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    forged.push(plain);
    let mut twice = form("csrf-of-ada");
    *twice.body_mut() = Bytes::from("csrf=csrf-of-ada&csrf=x");
    forged.push(twice);
    for request in forged {
        let response = credentials.respond_as(request, &ada(), NOW).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers().get("location"), None);
    }
    assert!(world.issuer().at("/register").is_empty());
}

#[tokio::test]
async fn a_state_is_good_once() {
    let (world, credentials) = world().await;
    let back = approved(&credentials, &ada()).await;
    assert_eq!(
        get(&credentials, &back, &ada(), NOW).await.status(),
        StatusCode::OK
    );
    let again = get(&credentials, &back, &ada(), NOW).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    assert!(text(&again).contains("unknown_state"));
    assert_eq!(world.issuer().at("/token").len(), 1);
}

#[tokio::test]
async fn of_two_callbacks_at_once_one_succeeds() {
    let (world, credentials) = world().await;
    let back = approved(&credentials, &ada()).await;
    let who = ada();
    let (one, two) = tokio::join!(
        get(&credentials, &back, &who, NOW),
        get(&credentials, &back, &who, NOW)
    );
    let mut statuses = [one.status(), two.status()];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::BAD_REQUEST]);
    assert_eq!(world.issuer().at("/token").len(), 1);
}

#[tokio::test]
async fn a_state_is_over_after_ten_minutes() {
    let (world, credentials) = world().await;
    let back = approved(&credentials, &ada()).await;
    let late = get(&credentials, &back, &ada(), NOW + 600_000).await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST);
    assert!(world.issuer().at("/token").is_empty());
}

#[tokio::test]
async fn a_callback_in_another_account_or_browser_is_refused() {
    for other in [
        session("mallory", "csrf-of-mallory"),
        session("ada", "another session"),
    ] {
        let (world, credentials) = world().await;
        let back = approved(&credentials, &ada()).await;
        let refused = get(&credentials, &back, &other, NOW).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert!(world.issuer().at("/token").is_empty());
        // And nobody has a second try.
        let spent = get(&credentials, &back, &ada(), NOW).await;
        assert_eq!(spent.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_peers_words_are_not_on_our_page() {
    let (world, credentials) = world().await;
    let back = approved(&credentials, &ada()).await;
    let (path, query) = back.split_once('?').unwrap();
    let find = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(it, _)| it == name).unwrap().1.into_owned()
    };
    let mut url = Url::parse("http://127.0.0.1:8420").unwrap();
    url.query_pairs_mut()
        .append_pair("state", &find("state"))
        .append_pair("iss", &find("iss"))
        .append_pair("error", "canary_error")
        .append_pair("error_description", "<script>canary</script>");
    let back = format!("{path}?{}", url.query().unwrap());
    let page = get(&credentials, &back, &ada(), NOW).await;
    assert_eq!(page.status(), StatusCode::BAD_GATEWAY);
    assert!(!text(&page).contains("canary"), "{}", text(&page));
    assert!(world.issuer().at("/token").is_empty());
}

#[tokio::test]
async fn an_error_of_the_wrong_issuer_is_not_told() {
    let (world, credentials) = world().await;
    world.change(|it| it.iss = Iss::Wrong("https://evil.example".into()));
    let back = approved(&credentials, &ada()).await;
    let back = back.replace("code=", "error=");
    let page = get(&credentials, &back, &ada(), NOW).await;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    assert!(text(&page).contains("issuer_mismatch"));
}

#[tokio::test]
async fn a_connection_for_all_is_made_by_those_who_may() {
    let world = World::start(Behaviour::default()).await;
    let mut settings = oauth();
    settings.connection = Connection::Shared {
        accounts: vec!["root".into()],
        groups: vec!["admins".into()],
    };
    let credentials = world.credentials(ServerAuth::OAuth(settings));
    let refused = get(&credentials, CONNECT, &ada(), NOW).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let refused = credentials
        .respond_as(form("csrf-of-ada"), &ada(), NOW)
        .await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let mut admin = session("carol", "csrf-of-carol");
    admin.groups.push("admins".into());
    let page = get(&credentials, CONNECT, &admin, NOW).await;
    assert!(text(&page).contains("everybody"));
    let back = approved(&credentials, &admin).await;
    assert_eq!(
        get(&credentials, &back, &admin, NOW).await.status(),
        StatusCode::OK
    );
    world.call(&credentials, "ada").await.ok(0);
    world.call(&credentials, "bob").await.ok(0);
}

#[tokio::test]
async fn only_our_paths_and_methods_are_answered() {
    let (_world, credentials) = world().await;
    for (path, owned) in [
        (CONNECT, true),
        ("/oauth/upstream/callback", true),
        ("/oauth/client-metadata", true),
        ("/oauth/upstream/", false),
        ("/oauth/upstream/a/b/connect", false),
        ("/oauth/upstream//connect", false),
        ("/oauth/token", false),
    ] {
        assert_eq!(Credentials::owns(path), owned, "{path}");
    }
    let unknown = get(&credentials, "/oauth/upstream/nothing/connect", &ada(), NOW).await;
    assert!(!unknown.status().is_success());
    let document = get(&credentials, "/oauth/client-metadata", &ada(), NOW).await;
    let document: serde_json::Value = serde_json::from_slice(document.body()).unwrap();
    assert_eq!(document["response_types"], json!(["code"]));
    let put = Request::put(CONNECT).body(Bytes::new()).unwrap();
    let refused = credentials.respond_as(put, &ada(), NOW).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
}
