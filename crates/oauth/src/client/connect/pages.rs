//! The browser's part: our consent page, its form, the callback.

use askama::Template;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::client::connect::{
    CALLBACK_PATH, CallbackParameters, ConnectError, METADATA_PATH, PATH_PREFIX, interactive,
    may_connect,
};
use crate::client::fetch::is_loopback;
use crate::client::grants::host;
use crate::client::{Credentials, Inner};
use crate::form::Form;
use crate::login::{Login, Session};
use crate::page;
use crate::secret;

#[derive(Template)]
#[template(path = "upstream_connect.html")]
struct ConnectPage<'a> {
    server: &'a str,
    server_host: &'a str,
    authorization_host: &'a str,
    account: &'a str,
    shared: bool,
    scopes: Vec<&'a str>,
    loopback: bool,
    csrf: &'a str,
}

enum Route<'a> {
    Connect(&'a str),
    Callback,
    Metadata,
}

fn route(path: &str) -> Option<Route<'_>> {
    if path == METADATA_PATH {
        return Some(Route::Metadata);
    }
    if path == CALLBACK_PATH {
        return Some(Route::Callback);
    }
    let server = path.strip_prefix(PATH_PREFIX)?.strip_suffix("/connect")?;
    (!server.is_empty() && !server.contains('/')).then_some(Route::Connect(server))
}

impl Credentials {
    /// Whether this answers requests for `path`.
    pub fn owns(path: &str) -> bool {
        route(path).is_some()
    }

    /// Answers a request for a path that this [owns](Self::owns).
    pub async fn respond(
        &self,
        request: Request<Bytes>,
        login: &Login,
        now_ms: u64,
    ) -> Response<Bytes> {
        if let Some(Route::Metadata) = route(request.uri().path()) {
            return self.metadata_page();
        }
        if let Some(session) = login.session(request.headers(), now_ms).await {
            return self.respond_as(request, &session, now_ms).await;
        }
        let back = request.uri().path_and_query();
        login.start(back.map_or("/", |it| it.as_str()))
    }

    /// [`Credentials::respond`] to a browser that is logged in.
    pub async fn respond_as(
        &self,
        request: Request<Bytes>,
        session: &Session,
        now_ms: u64,
    ) -> Response<Bytes> {
        let inner = &self.inner;
        let mut response = match (route(request.uri().path()), request.method()) {
            (Some(Route::Metadata), _) => return self.metadata_page(),
            (Some(Route::Connect(server)), &Method::GET) => {
                inner.consent_page(server, session, now_ms).await
            }
            (Some(Route::Connect(server)), &Method::POST) => {
                inner.approved(server, &request, session, now_ms).await
            }
            (Some(Route::Callback), &Method::GET) => {
                let query = request.uri().query().unwrap_or_default();
                self.callback(query, session, now_ms).await
            }
            (Some(_), _) => {
                let mut response = page::message(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Not possible",
                    "This page is only opened in a browser.",
                );
                response
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
                response
            }
            (None, _) => {
                page::message(StatusCode::NOT_FOUND, "Not found", "There is no such page.")
            }
        };
        page::transport(response.headers_mut(), &inner.public_url);
        response
    }

    fn metadata_page(&self) -> Response<Bytes> {
        let mut response = Response::new(self.client_metadata());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=3600"),
        );
        response
    }

    async fn callback(&self, query: &str, session: &Session, now_ms: u64) -> Response<Bytes> {
        let parameters = match CallbackParameters::parse(query) {
            Ok(parameters) => parameters,
            Err(error) => return refusal(&error),
        };
        let finished = self
            .inner
            .clone()
            .finish(
                parameters,
                session.account.clone(),
                browser(session),
                now_ms,
            )
            .await;
        match finished {
            Ok(server) => page::message(
                StatusCode::OK,
                "Connected",
                &format!(
                    "You are connected to {server}. You can close this page and repeat what you were doing."
                ),
            ),
            Err(error) => refusal(&error),
        }
    }
}

impl Inner {
    async fn consent_page(&self, server: &str, session: &Session, now_ms: u64) -> Response<Bytes> {
        let page = async {
            let server = self.server(server)?;
            let settings = interactive(server)?;
            may_connect(settings, session)?;
            let owner = server.owner(&session.account)?;
            let plan = self.plan(server, &owner, now_ms).await?;
            let page = ConnectPage {
                server: &server.name,
                server_host: &host(&server.url),
                authorization_host: &host(&plan.endpoint),
                account: &session.account,
                shared: owner.is_empty(),
                scopes: plan.scopes.iter().collect(),
                loopback: is_loopback(&plan.endpoint),
                csrf: &session.csrf,
            };
            let target = page::form_target(&plan.endpoint);
            Ok(page::render(StatusCode::OK, &page, &[&target]))
        };
        page.await
            .unwrap_or_else(|error: ConnectError| refusal(&error))
    }

    async fn approved(
        &self,
        server: &str,
        request: &Request<Bytes>,
        session: &Session,
        now_ms: u64,
    ) -> Response<Bytes> {
        if !self.is_own_form(request, session) {
            return page::message(
                StatusCode::FORBIDDEN,
                "Please start again",
                "The form was not sent from this page. Open the link again.",
            );
        }
        let begun = async {
            may_connect(interactive(self.server(server)?)?, session)?;
            self.begin(server, &session.account, browser(session), now_ms)
                .await
        };
        match begun.await {
            Ok(url) => page::see_other(url.as_str()),
            Err(error) => refusal(&error),
        }
    }

    /// Whether a form was sent from our page in this session.
    fn is_own_form(&self, request: &Request<Bytes>, session: &Session) -> bool {
        Form::of_own_page(request, &self.public_url)
            .is_ok_and(|form| secret::equal(form.get("csrf").as_bytes(), session.csrf.as_bytes()))
    }
}

/// Ties a connection to the session: its forms' token is its own.
fn browser(session: &Session) -> [u8; 32] {
    secret::sha256(session.csrf.as_bytes())
}

/// One sentence for the person, the causes for the log. Nothing that a peer said.
fn refusal(error: &ConnectError) -> Response<Bytes> {
    tracing::warn!(
        code = error.code(),
        error = error as &dyn std::error::Error,
        "a connection to a server was not made"
    );
    let (status, text) = match error {
        ConnectError::NotInteractive => (
            StatusCode::NOT_FOUND,
            "There is no server of this name that you can connect to.",
        ),
        ConnectError::NotAllowed => (
            StatusCode::FORBIDDEN,
            "One connection serves everybody here, and your account may not make it. Ask your administrator.",
        ),
        ConnectError::Malformed | ConnectError::State | ConnectError::Browser => (
            StatusCode::BAD_REQUEST,
            "This connection is not under way in this browser any more. Open the link again.",
        ),
        ConnectError::Issuer => (
            StatusCode::BAD_REQUEST,
            "The answer did not come from where you were sent. Nothing was connected.",
        ),
        ConnectError::Refused("access_denied") => (
            StatusCode::OK,
            "You, or the server, declined. Nothing was connected.",
        ),
        ConnectError::Refused(_)
        | ConnectError::NoPkce
        | ConnectError::NoEndpoint
        | ConnectError::Credential(_) => (
            StatusCode::BAD_GATEWAY,
            "The server's login does not work at the moment. Your administrator finds the reason in the log.",
        ),
        ConnectError::Sealed(_) | ConnectError::NoRandomness(_) | ConnectError::Record(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here. Your administrator finds the reason in the log.",
        ),
    };
    page::message(
        status,
        "Not connected",
        &format!("{text} ({})", error.code()),
    )
}
