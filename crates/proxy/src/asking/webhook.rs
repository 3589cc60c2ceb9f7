//! Tells somebody elsewhere of every new question, in the form of Standard Webhooks 1.0: a signed POST that is repeated for a
//! while. No call waits for it, and nothing that comes back is believed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use portcullis_egress::{Client, Egress, Reach};
use portcullis_pipeline::{ApprovalRow, ApprovalState};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{admin, page};
use crate::access::Access;
use crate::caller::Caller;
use crate::runtime::Runtime;

/// What a secret begins with, before its base64.
const SECRET_PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Pauses between the tries, of which there is one more. A question is told only while it is open.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
];
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many messages are under way at a time.
const AT_ONCE_MAX: usize = 8;

/// Where new questions are told. A clone shares it.
#[derive(Clone)]
pub struct Webhook {
    uri: Uri,
    key: Arc<hmac::Key>,
    has_arguments: bool,
    client: Client,
    at_once: Arc<Semaphore>,
}

/// What is told of a question.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    principal: &'a str,
    client: Option<&'a str>,
    server: &'a str,
    tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Value>,
    reasons: Vec<&'a str>,
    unusual: Vec<&'a str>,
    expires_at: Option<String>,
    /// Where a program answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_url: Option<Url>,
    /// Where a person answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_url: Option<Url>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.uri.host())
            .finish_non_exhaustive()
    }
}

/// A webhook that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The address is none.
    #[error(
        "the webhook's `url` is none; write `https://hooks.example/portcullis`, or `http` with a loopback address"
    )]
    Address,
    /// The secret is none.
    #[error(
        "the webhook's `secret` is not `whsec_` and 24 to 64 bytes in base64; make one with `echo whsec_$(openssl rand -base64 32)`"
    )]
    Secret,
}

impl Webhook {
    /// A webhook at `url`, whose messages are signed with `secret`; `has_arguments`: they have the arguments of calls in them.
    pub fn new(
        url: &str,
        secret: &str,
        has_arguments: bool,
        egress: &Egress,
    ) -> Result<Self, InvalidWebhook> {
        let (uri, key) = read(url, secret)?;
        Ok(Self {
            uri,
            key: Arc::new(key),
            has_arguments,
            client: egress.client(Reach::Configured).clone(),
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        })
    }

    /// Whether a webhook can be made of these.
    pub fn check(url: &str, secret: &str) -> Result<(), InvalidWebhook> {
        read(url, secret).map(drop)
    }

    /// Tells of a new question, in its own time.
    pub(crate) fn tell(&self, caller: &Caller, id: &str) {
        let (webhook, runtime, id) = (self.clone(), Arc::clone(&caller.runtime), id.to_owned());
        let ending = runtime.shared.ending.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = webhook.deliver(&runtime, &id) => {}
            }
        });
    }

    async fn deliver(&self, runtime: &Runtime, id: &str) {
        let mut pauses = PAUSES.iter();
        loop {
            let now = runtime.clock.now();
            let row = match runtime.pipeline.approval(id).await {
                Ok(Some(row)) if row.state == ApprovalState::Open && row.expires_ms > now.0 => row,
                // Nobody has to be told any more.
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, "a question could not be read for the webhook");
                    return;
                }
            };
            let access = runtime.authenticator.access().map(|access| &**access);
            let body = self.body(&row, access);
            let Ok(permit) = self.at_once.acquire().await else {
                return;
            };
            let posting = self.post(id, &body, runtime.clock.now().0 / 1000);
            let posted = tokio::time::timeout(PATIENCE, posting).await;
            drop(permit);
            match posted {
                Ok(Ok(status)) if status.is_success() => return,
                Ok(Ok(StatusCode::GONE)) => {
                    tracing::warn!(approval = id, "the webhook wants to hear nothing");
                    return;
                }
                Ok(Ok(status)) => {
                    tracing::warn!(approval = id, %status, "the webhook did not take a question");
                }
                Ok(Err(error)) => {
                    tracing::warn!(approval = id, %error, "the webhook could not be reached");
                }
                Err(_elapsed) => tracing::warn!(approval = id, "the webhook took too long"),
            }
            let Some(pause) = pauses.next() else {
                tracing::error!(approval = id, "the webhook was not told of a question");
                return;
            };
            tokio::time::sleep(*pause).await;
        }
    }

    async fn post(
        &self,
        id: &str,
        body: &Bytes,
        now_s: u64,
    ) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        // The same for every try, so that whoever hears it twice knows.
        let message_id = format!("approval_{id}");
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "portcullis")
            .header("webhook-id", &message_id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", self.sign(&message_id, now_s, body))
            .body(Full::new(body.clone()))?;
        let response = self.client.request(request).await?;
        Ok(response.status())
    }

    /// The signature of a message: what it is known by, when it is sent, and what it says.
    fn sign(&self, message_id: &str, now_s: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{message_id}.{now_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
    }

    fn body(&self, row: &ApprovalRow, access: Option<&Access>) -> Bytes {
        let at = |path: &str| access.and_then(|access| access.public_url.join(path).ok());
        let has_login = access.is_some_and(|access| access.login.is_some());
        let page = has_login.then(|| format!("{}{}", page::PREFIX, row.id));
        let arguments = self.has_arguments.then_some(&row.arguments);
        let data = Data {
            id: &row.id,
            principal: &row.principal,
            client: row.client.as_deref(),
            server: &row.server,
            tool: &row.tool,
            arguments: arguments.and_then(|json| serde_json::from_slice(json).ok()),
            reasons: row.reasons.lines().collect(),
            unusual: row.unusual.lines().collect(),
            expires_at: time_of(row.expires_ms),
            answer_url: at(&format!("{}/{}", admin::PATH, row.id)),
            page_url: page.and_then(|path| at(&path)),
        };
        let message = json!({
            "type": "approval.asked",
            "timestamp": time_of(row.asked_ms),
            "data": data,
        });
        message.to_string().into()
    }
}

/// The address and the key of a webhook.
fn read(url: &str, secret: &str) -> Result<(Uri, hmac::Key), InvalidWebhook> {
    let parsed = Url::parse(url).map_err(|_invalid| InvalidWebhook::Address)?;
    let is_loopback = match parsed.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_safe = parsed.scheme() == "https" || (parsed.scheme() == "http" && is_loopback);
    // A credential in the address would be sent in the clear, or not at all.
    let is_plain = parsed.username().is_empty() && parsed.password().is_none();
    if !is_safe || !is_plain || parsed.fragment().is_some() {
        return Err(InvalidWebhook::Address);
    }
    let uri = parsed.as_str().parse();
    let uri = uri.map_err(|_invalid| InvalidWebhook::Address)?;
    let encoded = secret.strip_prefix(SECRET_PREFIX);
    let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let bytes = Zeroizing::new(bytes.ok_or(InvalidWebhook::Secret)?);
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(InvalidWebhook::Secret);
    }
    Ok((uri, hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

/// A time in Unix milliseconds as RFC 3339 writes it, in seconds.
fn time_of(unix_ms: u64) -> Option<String> {
    let seconds = i64::try_from(unix_ms / 1000).ok()?;
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    time.format(&time::format_description::well_known::Rfc3339)
        .ok()
}

#[cfg(test)]
mod tests;
