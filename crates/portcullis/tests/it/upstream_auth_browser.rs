//! A person follows the link in a browser: logs in, says yes on the gateway's page, and comes back from the server's
//! authorization server.

use std::collections::BTreeMap;

use http::Method;
use portcullis_oauth::account::{self, Invitation};
use portcullis_store::Store;
use portcullis_testkit::raw::Client;
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::{
    support::{ALICE, BOUND, CANARY, Gateway, Guarded, Setup, text},
    upstream_auth::{error, with_auth},
};

/// A browser: it keeps cookies for the gateway, and follows nothing by itself.
struct Browser<'g> {
    gateway: &'g Gateway,
    cookies: BTreeMap<String, String>,
}

/// A page, or where it leads.
struct Page {
    status: u16,
    location: Option<String>,
    html: String,
}

impl Page {
    /// The value of the form's hidden `csrf`.
    fn csrf(&self) -> String {
        let (_, rest) = self.html.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl<'g> Browser<'g> {
    /// A browser in which an account, which is new, has just logged in.
    async fn logged_in(gateway: &'g Gateway, name: &str) -> Self {
        let database = gateway.path().join("state/portcullis.db");
        let store = Store::open_beside(&database, portcullis_store::Settings::default()).unwrap();
        let invitation = Invitation {
            name: name.parse().unwrap(),
            display: name.to_owned(),
            groups: Vec::new(),
            is_admin: false,
        };
        let now_ms = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_millis();
        let code = account::invite(&store, &invitation, now_ms.try_into().unwrap());
        let code = code.await.unwrap();
        store.close().await;
        let mut browser = Self {
            gateway,
            cookies: BTreeMap::new(),
        };
        let path = "/oauth/account/invitation";
        let csrf = browser.get(path).await.csrf();
        let password = "rain kettle orbit mango";
        let fields = [
            ("csrf", &*csrf),
            ("code", &*code),
            ("password", password),
            ("repeat", password),
        ];
        let page = browser.post(path, &fields).await;
        assert_eq!(page.status, 303, "{}", page.html);
        browser
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], String::new()).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        // What browsers send from a page whose `Referrer-Policy` is `no-referrer` (Fetch, "append a request `Origin` header").
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send(Method::POST, path, &headers, body.finish()).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Page {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = self.gateway.peer(path).send(method, &headers, body).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.header("location").map(str::to_owned);
        Page {
            status: answer.status.as_u16(),
            location,
            html: String::from_utf8(answer.bytes().await.unwrap()).unwrap(),
        }
    }
}

/// Where an authorization server, which asks nobody, sends a browser.
async fn authorized(url: &str) -> Url {
    let client = Client::new(url, BOUND).unwrap();
    let answer = client.send(Method::GET, &[], "").await.unwrap();
    Url::parse(answer.header("location").unwrap()).unwrap()
}

fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

async fn gateway(guarded: &Guarded) -> Gateway {
    let auth = "kind = \"oauth\"\nconnection = \"shared\"\naccounts = [\"ada\"]";
    let settings = with_auth(&guarded.url(), auth);
    let setup = Setup::new().clients().with("[oauth.server]\n");
    setup.server("one", &settings).start().await
}

/// The path of the link that a call is answered with.
async fn link(gateway: &Gateway) -> String {
    let answer = gateway.of(ALICE).echo(&[]).await.message().await.unwrap();
    let (code, sentence) = error(&answer);
    assert_eq!(code, "connect-required");
    let link = sentence.split_whitespace().last().unwrap();
    assert!(link.starts_with(gateway.harness.url()), "{link}");
    Url::parse(link).unwrap().path().to_owned()
}

#[tokio::test]
async fn the_link_leads_to_a_connection() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let link = link(&gateway).await;

    let mut stranger = Browser {
        gateway: &gateway,
        cookies: BTreeMap::new(),
    };
    let page = stranger.get(&link).await;
    assert!(page.location.unwrap().starts_with("/oauth/login"));

    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let page = ada.get(&link).await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("read"), "{}", page.html);
    let asked_before = guarded
        .seen_there()
        .iter()
        .any(|seen| seen.path == "/authorize");
    assert!(!asked_before, "nothing begins before the yes");
    let forged = ada.post(&link, &[("csrf", "forged")]).await;
    assert_eq!(forged.status, 403);
    let csrf = page.csrf();
    let page = ada.post(&link, &[("csrf", &csrf)]).await;
    assert_eq!(page.status, 303);
    let back = authorized(&page.location.unwrap()).await;
    let back = path_of(&back);

    // Only the browser that began it can end it, and once.
    let mut eve = Browser::logged_in(&gateway, "eve").await;
    assert_eq!(eve.get(&link).await.status, 403);
    let page = ada.get(&back).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(
        page.html.contains("You are connected to one"),
        "{}",
        page.html
    );
    assert_eq!(ada.get(&back).await.status, 400);

    assert_eq!(text(gateway.of(ALICE).echo(&[]).await).await, "hello");
    let call = guarded
        .seen()
        .into_iter()
        .rfind(|seen| seen.rpc() == "tools/call");
    let shown = call.unwrap().header("authorization");
    assert!(shown[0].starts_with(&format!("Bearer {CANARY}-access-")));
}

#[tokio::test]
async fn a_step_up_waits_for_the_person_in_the_browser() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let link = link(&gateway).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for expected in ["scope=read&", "scope=read+write&"] {
        let csrf = ada.get(&link).await.csrf();
        let page = ada.post(&link, &[("csrf", &csrf)]).await;
        let to = page.location.unwrap();
        assert!(format!("{to}&").contains(expected), "{to}");
        let back = path_of(&authorized(&to).await);
        assert_eq!(ada.get(&back).await.status, 200);
        guarded.guard_work("write");
        let work = json!({ "name": "work", "arguments": {} });
        let answer = gateway.of(ALICE).request(1, "tools/call", work).await;
        let answer = answer.message().await.unwrap();
        if expected == "scope=read&" {
            assert_eq!(error(&answer).0, "connect-required");
        } else {
            assert_eq!(answer["result"]["structuredContent"]["sum"], 3, "{answer}");
        }
    }
}
