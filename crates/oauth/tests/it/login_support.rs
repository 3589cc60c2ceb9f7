//! A gateway with accounts, and browsers that keep cookies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use portcullis_egress::Egress;
use portcullis_oauth::account::{self, AccountName, Invitation};
use portcullis_oauth::login::{Config, Login, Parts, Session};
use portcullis_oauth::vault::Vault;
use portcullis_store::{AuthEventKind, AuthEventRow, Settings, Store};
use tempfile::TempDir;

pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const BASE: &str = "https://gw.example";
pub(crate) const PASSWORD: &str = "marble ferry onion";

pub(crate) struct Gateway {
    pub(crate) login: Login,
    pub(crate) store: Store,
    _folder: TempDir,
}

/// A response, as a person sees it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

pub(crate) struct Browser<'a> {
    gateway: &'a Gateway,
    pub(crate) jar: BTreeMap<String, String>,
    pub(crate) peer: IpAddr,
    pub(crate) now_ms: u64,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with(&Config::default())
    }

    pub(crate) fn with(config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), Settings::default()).unwrap();
        let parts = Parts {
            store: store.clone(),
            vault: Arc::new(Vault::new(&[7; 32]).unwrap()),
            egress: Egress::new(&portcullis_egress::Settings::default()).unwrap(),
            public_url: BASE.parse().unwrap(),
        };
        Self {
            login: Login::build(config, parts).unwrap(),
            store,
            _folder: folder,
        }
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            gateway: self,
            jar: BTreeMap::new(),
            peer: [203, 0, 113, 7].into(),
            now_ms: NOW,
        }
    }

    /// An invitation's code.
    pub(crate) async fn invite(&self, name: &str) -> String {
        let invitation = Invitation {
            name: name.parse().unwrap(),
            display: "Ada Lovelace".to_owned(),
            groups: vec!["ops".into()],
            is_admin: false,
        };
        let code = account::invite(&self.store, &invitation, NOW).await;
        code.unwrap().to_string()
    }

    /// An account with [`PASSWORD`].
    pub(crate) async fn account(&self, name: &str) -> AccountName {
        let code = self.invite(name).await;
        let page = self.browser().redeem(&code, PASSWORD).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        name.parse().unwrap()
    }

    /// Everything recorded, newest first.
    pub(crate) async fn events(&self, kind: Option<AuthEventKind>) -> Vec<AuthEventRow> {
        // Notes are written with the next commit.
        self.store.calls().flush().await.unwrap();
        let events = self.store.auth_events();
        events.search(kind, None, 1000).await.unwrap()
    }

    pub(crate) async fn reasons(&self, kind: AuthEventKind) -> Vec<String> {
        let events = self.events(Some(kind)).await;
        events.into_iter().filter_map(|row| row.reason).collect()
    }
}

impl Browser<'_> {
    pub(crate) async fn get(&mut self, address: &str) -> Page {
        let request = Request::get(address).body(Bytes::new()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, address: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(address, fields, "same-origin").await
    }

    pub(crate) async fn post_from(
        &mut self,
        address: &str,
        fields: &[(&str, &str)],
        site: &str,
    ) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Request::post(address)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site)
            .body(Bytes::from(body))
            .unwrap();
        self.send(request).await
    }

    async fn send(&mut self, mut request: Request<Bytes>) -> Page {
        if !self.jar.is_empty() {
            let pairs: Vec<String> = self.jar.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let cookies = pairs.join("; ").parse().unwrap();
            request.headers_mut().insert("cookie", cookies);
        }
        assert!(Login::owns(request.uri().path()));
        let login = &self.gateway.login;
        let response = login.respond(request, Some(self.peer), self.now_ms).await;
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-portcullis-"), "{name}");
            for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", " Path=/;"] {
                assert!(format!(";{attributes}").contains(attribute), "{cookie}");
            }
            if value.is_empty() {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let (parts, body) = response.into_parts();
        Page {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn log_in(&mut self, account: &str, password: &str) -> Page {
        let csrf = self.get("/oauth/login").await.hidden("csrf");
        let fields = [
            ("csrf", &*csrf),
            ("account", account),
            ("password", password),
        ];
        self.post("/oauth/login", &fields).await
    }

    pub(crate) async fn redeem(&mut self, code: &str, password: &str) -> Page {
        let csrf = self.get("/oauth/account/invitation").await.hidden("csrf");
        let fields = [
            ("csrf", &*csrf),
            ("code", code),
            ("password", password),
            ("repeat", password),
        ];
        self.post("/oauth/account/invitation", &fields).await
    }

    pub(crate) async fn session(&self) -> Option<Session> {
        let pairs: Vec<String> = self.jar.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut headers = http::HeaderMap::new();
        headers.insert("cookie", pairs.join("; ").parse().unwrap());
        self.gateway.login.session(&headers, self.now_ms).await
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let value = self.body.split(&start).nth(1);
        let value = value.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        value.split('"').next().unwrap().to_owned()
    }
}
