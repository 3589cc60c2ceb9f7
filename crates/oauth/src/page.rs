//! Pages for people: their headers, their style, and short messages.
//!
//! Every page is HTML that works without script. What it shows is escaped by its template; what it may do is bounded by its
//! Content-Security-Policy, so that a page cannot be framed, scripted, or made to send a form elsewhere.

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};
use url::{Host, Url};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret;

/// The style sheet of every page, which the layout holds in one `<style>` element.
pub const STYLE: &str = include_str!("../templates/style.css");

/// A page that says something and offers at most one way on.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The heading.
    pub title: &'a str,
    /// One or two sentences.
    pub text: &'a str,
    /// Where to go next.
    pub link: Option<Link<'a>>,
}

/// A page that asks a person about one call. What it shows was made so that nothing in it is hidden.
#[derive(Debug, Template)]
#[template(path = "approval.html")]
pub struct Approval<'a> {
    /// The account that is logged in, if there is a login.
    pub account: Option<&'a str>,
    /// Who calls.
    pub principal: &'a str,
    /// What the client calls itself.
    pub client: Option<&'a str>,
    /// The server.
    pub server: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// The arguments.
    pub arguments: &'a str,
    /// How many characters of the arguments are left out.
    pub left_out: usize,
    /// Why it is asked.
    pub reasons: &'a [String],
    /// What is unusual about the call.
    pub unusual: &'a [String],
    /// How long it may be answered, in seconds.
    pub seconds: u64,
    /// What its form has to carry.
    pub token: &'a str,
}

/// A link on a page. Its target is always a path of this gateway.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The path.
    pub href: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// A whole page as a response, with the headers that every page has. `form_targets` are the origins, beside our own, that a
/// form's submission may be redirected to: Chromium applies `form-action` to those redirects too. Make them with
/// [`form_target`].
pub fn respond(status: StatusCode, html: String, form_targets: &[&str]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, policy(form_targets));
    harden(headers);
    response
}

/// The page that `template` makes; a template that fails makes an empty page with status 500.
pub fn render(
    status: StatusCode,
    template: &impl Template,
    form_targets: &[&str],
) -> Response<Bytes> {
    match template.render() {
        Ok(html) => respond(status, html, form_targets),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            respond(StatusCode::INTERNAL_SERVER_ERROR, String::new(), &[])
        }
    }
}

/// A page of a [`Message`] without a link.
pub fn message(status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
    let page = Message {
        title,
        text,
        link: None,
    };
    render(status, &page, &[])
}

/// A page that asks to wait, with `Retry-After` (RFC 6585 §4).
pub fn wait(seconds: u64, text: &str) -> Response<Bytes> {
    let mut response = message(StatusCode::TOO_MANY_REQUESTS, "Please wait", text);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Sends the browser on by GET, whatever it came with: 303, never 307 (RFC 9700 §4.12). `to` is a path of ours or an address
/// that the caller has checked.
pub fn see_other(to: &str) -> Response<Bytes> {
    let Ok(location) = HeaderValue::try_from(to) else {
        return message(
            StatusCode::BAD_REQUEST,
            "That address cannot be used",
            "Go back and start again.",
        );
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    harden(headers);
    response
}

/// What `form-action` has to name so that a form may end in a redirect to `address`: its origin, or its scheme alone where it has
/// no origin or one that a policy cannot name.
pub fn form_target(address: &Url) -> String {
    match (address.scheme(), address.host()) {
        ("http" | "https", Some(Host::Domain(_) | Host::Ipv4(_))) => {
            address.origin().ascii_serialization()
        }
        // A policy has no syntax for IPv6 addresses.
        (scheme, _) => format!("{scheme}:"),
    }
}

/// Tells browsers to come by https only, where they do already (RFC 6797).
pub fn transport(headers: &mut HeaderMap, public_url: &Url) {
    if public_url.scheme() == "https" {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn policy(form_targets: &[&str]) -> HeaderValue {
    let style = STANDARD.encode(secret::sha256(STYLE.as_bytes()));
    let mut policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src 'none'; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self'"
    );
    // A target with a character that would begin another directive is not one.
    let names = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-+_".contains(&byte);
    for target in form_targets {
        if target.bytes().all(names) {
            policy.push(' ');
            policy.push_str(target);
        }
    }
    HeaderValue::try_from(policy).unwrap_or_else(|_impossible| {
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; form-action 'none'")
    })
}

#[cfg(test)]
mod tests;
