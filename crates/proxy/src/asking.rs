//! How people are asked about calls beside the forms of their clients: a page of the gateway, the terminal, a webhook that tells
//! others, and an API by which they answer. Whichever way it takes, it is one question, kept in the store and answered once.

mod admin;
mod page;
mod terminal;
mod webhook;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::access::Access;
use crate::config::Listen;
use crate::peer::Peer;
use crate::runtime::Runtime;

pub(crate) use admin::PATH as ADMIN_PATH;
pub use admin::SCOPE as APPROVALS_SCOPE;
pub(crate) use page::link;
pub use terminal::Terminal;
pub use webhook::{InvalidWebhook, Webhook};

/// Where the person at the client is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskAt {
    /// By the client, where it can show a form or open a page; else at the terminal, where there is one.
    #[default]
    Client,
    /// At the terminal alone.
    Terminal,
    /// Nowhere: what needs a yes is refused at once, unless somebody gave it before.
    Never,
}

/// How people are asked.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// Where the person at the client is asked.
    pub at: AskAt,
    /// The terminal of whoever sits at this machine.
    pub terminal: Option<Terminal>,
    /// What is told of new questions.
    pub webhook: Option<Webhook>,
    /// Groups whose accounts may answer the questions about anybody's calls.
    pub approver_groups: Arc<[Box<str>]>,
}

/// A path of ours.
enum Route<'a> {
    Page(&'a str),
    Admin(&'a str),
}

fn route(path: &str) -> Option<Route<'_>> {
    if let Some(rest) = path.strip_prefix(page::PREFIX) {
        return Some(Route::Page(rest));
    }
    let rest = path.strip_prefix(ADMIN_PATH)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(Route::Admin(rest))
}

/// Whether requests for `path` are answered here.
pub(crate) fn owns(path: &str) -> bool {
    route(path).is_some()
}

/// Whether `path` is one of the API, where `Origin` is judged before.
pub(crate) fn is_admin(path: &str) -> bool {
    matches!(route(path), Some(Route::Admin(_)))
}

/// Answers a request for a path that this [owns], whose body was read and whose `Host` was checked before.
pub(crate) async fn respond(
    runtime: &Runtime,
    access: &Access,
    peer: &Peer,
    request: Request<Bytes>,
) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    match route(&path) {
        Some(Route::Admin(rest)) => admin::respond(runtime, access, peer, &request, rest).await,
        Some(Route::Page(rest)) => page::respond(runtime, access, peer, &request, rest).await,
        None => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response
        }
    }
}

/// Whether whoever has the link to a question may answer it: only processes of this machine could, and its link is a secret.
pub(crate) fn gives_tickets(listen: &Listen, access: Option<&Access>) -> bool {
    let is_local = |url: &url::Url| match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    listen.address.ip().is_loopback() && access.is_some_and(|access| is_local(&access.public_url))
}
