//! Sixth check: where policies want a person's yes to this very call, has somebody given it?
//!
//! An approval is bound to who calls, the server, the tool, the arguments as they are sent, and the version of the policies. It
//! expires, and is spent by the call it lets through. Silence is no.

use std::time::Duration;

use aws_lc_rs::rand;
use portcullis_store::{AskBounds, Asked, NewApproval, Store};
use serde_json::Value;

use crate::history::Counts;
use crate::permissions::Approvals;
use crate::request::sha256;
use crate::{Denial, Request};

/// The longest rendering of arguments that a person is shown, in characters.
const SHOWN_CHARS_MAX: usize = 4000;

/// A question to a person about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What it is known by: whoever answers names it.
    pub id: Box<str>,
    /// What the person is shown: the exact call, what is unusual about it, and why it is asked.
    pub message: String,
    /// Until when it can be answered and the answer used, in Unix milliseconds.
    pub expires_ms: u64,
}

/// What a call is, as far as an approval is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) arguments: &'a Value,
    pub(crate) policy_version: &'a str,
}

impl Call<'_> {
    fn tool(&self) -> &str {
        self.request.target.as_deref().unwrap_or_default()
    }

    /// The digest of all that an approval is good for. Lengths keep the parts apart.
    fn binding(&self) -> [u8; 32] {
        let arguments = self.arguments.to_string();
        let parts = [
            &**self.request.principal.identity(),
            self.request.server.as_str(),
            self.tool(),
            &self.request.method,
            &arguments,
            self.policy_version,
        ];
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        sha256(&text)
    }

    /// Spends the approval of this call, and tells which; the question to be asked when there is none.
    pub(crate) async fn check(
        self,
        reasons: &[String],
        counts: Counts,
        settings: Approvals,
        store: &Store,
    ) -> Result<Box<str>, Denial> {
        let binding = self.binding();
        let now_ms = self.request.at.0;
        if let Some(id) = store.approvals().spend(binding, now_ms).await? {
            return Ok(id.into());
        }
        let expires_ms = now_ms.saturating_add(millis(settings.life));
        let new = NewApproval {
            id: random_id().ok_or(Denial::UndecidedPolicy)?,
            binding,
            principal: self.request.principal.name.to_string(),
            identity: self.request.principal.identity().to_string(),
            client: self.request.client.as_deref().map(str::to_owned),
            server: self.request.server.to_string(),
            tool: self.tool().to_owned(),
            arguments: self.arguments.to_string().into_bytes(),
            reasons: reasons.join("\n"),
            request_id: self.request.id.to_string(),
            asked_ms: now_ms,
            expires_ms,
        };
        let bounds = AskBounds {
            asks_max: settings.asks_max,
            window_ms: millis(settings.window),
            no_stands_ms: millis(settings.no_stands),
        };
        Err(match store.approvals().ask(new, bounds).await? {
            Asked::Open(id) => Denial::ApprovalRequired(Box::new(Approval {
                id: id.into(),
                message: self.message(reasons, counts),
                expires_ms,
            })),
            Asked::DeniedBefore => Denial::ApprovalDenied,
            Asked::TooOften => Denial::ApprovalsExhausted,
        })
    }

    /// What a person is shown.
    fn message(&self, reasons: &[String], counts: Counts) -> String {
        let request = self.request;
        let mut lines = vec![format!(
            "{} wants to call `{}` of `{}`.",
            printable(&request.principal.name),
            printable(self.tool()),
            request.server
        )];
        if let Some(client) = &request.client {
            lines.push(format!("It calls itself {}.", printable(client)));
        }
        let arguments = serde_json::to_string_pretty(self.arguments).unwrap_or_default();
        let shown: String = arguments.chars().take(SHOWN_CHARS_MAX).collect();
        lines.push(format!("Arguments: {}", printable(&shown)));
        let left = arguments.chars().count().saturating_sub(SHOWN_CHARS_MAX);
        if left > 0 {
            lines.push(format!(
                "{left} more characters are not shown. Say no unless you know them."
            ));
        }
        for reason in reasons {
            lines.push(format!("Why you are asked: {}", printable(reason)));
        }
        if counts.calls_of_tool == 0 {
            lines.push("Unusual: the first call of this tool within the hour.".to_owned());
        }
        if counts.denials > 0 {
            lines.push(format!(
                "Unusual: {} of its requests were refused within the hour.",
                counts.denials
            ));
        }
        lines.join("\n")
    }
}

/// A text in which nothing is hidden: what is neither ASCII nor a letter or digit is written as an escape.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, ' '..='~' | '\n') || (!char.is_ascii() && char.is_alphanumeric()) {
            out.push(char);
        } else {
            out.extend(char.escape_unicode());
        }
    }
    out
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// 128 random bits, as hexadecimal digits.
fn random_id() -> Option<String> {
    let mut random = [0; 16];
    rand::fill(&mut random).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(random)))
}
