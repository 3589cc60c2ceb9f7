//! Sixth check: where policies want a person's yes to this very call, has somebody given it?
//!
//! An approval is bound to who calls, the server, the tool, the arguments as they are sent, and the version of the policies. It
//! expires, and is spent by the call it lets through. Silence is no.

use std::time::Duration;

use aws_lc_rs::rand;
use portcullis_store::{ApprovalRow, AskBounds, Asked, NewApproval, Store};
use serde_json::Value;

use crate::history::Counts;
use crate::permissions::Approvals;
use crate::request::sha256;
use crate::{Denial, Request};

/// How often an approval is looked for that others, who make the same call at the same time, may spend first.
const SPENDS_MAX: usize = 3;

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
    /// Whether it was not asked before.
    pub is_new: bool,
}

/// What a person is shown of a call. Nothing is hidden in any of the texts, and only the arguments have several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who calls.
    pub principal: String,
    /// What the client calls itself.
    pub client: Option<String>,
    /// The configured name of the server.
    pub server: String,
    /// The server's own name of the tool.
    pub tool: String,
    /// The arguments as they are sent, at most 4,000 characters of them.
    pub arguments: String,
    /// How many characters of the arguments are left out.
    pub left_out: usize,
    /// Why it is asked.
    pub reasons: Vec<String>,
    /// What is unusual about it.
    pub unusual: Vec<String>,
}

impl Shown {
    /// What is shown of a question.
    pub fn of(row: &ApprovalRow) -> Self {
        Self {
            principal: printable(&row.principal),
            client: row.client.as_deref().map(printable),
            server: printable(&row.server),
            tool: printable(&row.tool),
            reasons: row.reasons.lines().map(printable).collect(),
            unusual: row.unusual.lines().map(printable).collect(),
            ..Self::of_arguments(&row.arguments)
        }
    }

    /// What is shown of a question that is about to be asked.
    fn before(new: &NewApproval) -> Self {
        Self {
            principal: printable(&new.principal),
            client: new.client.as_deref().map(printable),
            server: printable(&new.server),
            tool: printable(&new.tool),
            reasons: new.reasons.lines().map(printable).collect(),
            unusual: new.unusual.lines().map(printable).collect(),
            ..Self::of_arguments(&new.arguments)
        }
    }

    fn of_arguments(json: &[u8]) -> Self {
        let pretty = serde_json::from_slice::<Value>(json)
            .and_then(|arguments| serde_json::to_string_pretty(&arguments))
            .unwrap_or_else(|_none| String::from_utf8_lossy(json).into_owned());
        let shown: String = pretty.chars().take(SHOWN_CHARS_MAX).collect();
        let lines: Vec<String> = shown.split('\n').map(printable).collect();
        Self {
            principal: String::new(),
            client: None,
            server: String::new(),
            tool: String::new(),
            arguments: lines.join("\n"),
            left_out: pretty.chars().count().saturating_sub(SHOWN_CHARS_MAX),
            reasons: Vec::new(),
            unusual: Vec::new(),
        }
    }

    /// All of it, as the text that a person reads.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} wants to call `{}` of `{}`.",
            self.principal, self.tool, self.server
        )];
        if let Some(client) = &self.client {
            lines.push(format!("It calls itself {client}."));
        }
        lines.push(format!("Arguments: {}", self.arguments));
        if self.left_out > 0 {
            lines.push(format!(
                "{} more characters are not shown. Say no unless you know them.",
                self.left_out
            ));
        }
        let reasons = self.reasons.iter();
        lines.extend(reasons.map(|reason| format!("Why you are asked: {reason}")));
        let unusual = self.unusual.iter();
        lines.extend(unusual.map(|unusual| format!("Unusual: {unusual}")));
        lines.join("\n")
    }
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
        let expires_ms = now_ms.saturating_add(millis(settings.life));
        let new = NewApproval {
            id: random_id().ok_or(Denial::UndecidedPolicy)?,
            binding,
            principal: self.request.principal.name.to_string(),
            identity: self.request.principal.identity().to_string(),
            holder: self.request.principal.holder().into(),
            client: self.request.client.as_deref().map(str::to_owned),
            server: self.request.server.to_string(),
            tool: self.tool().to_owned(),
            arguments: self.arguments.to_string().into_bytes(),
            reasons: reasons.join("\n"),
            unusual: unusual(counts).join("\n"),
            request_id: self.request.id.to_string(),
            asked_ms: now_ms,
            expires_ms,
        };
        let bounds = AskBounds {
            asks_max: settings.asks_max,
            window_ms: millis(settings.window),
            no_stands_ms: millis(settings.no_stands),
        };
        for _ in 0..SPENDS_MAX {
            if let Some(id) = store.approvals().spend(binding, now_ms).await? {
                return Ok(id.into());
            }
            let asked = store.approvals().ask(new.clone(), bounds).await?;
            if asked != Asked::Approved {
                return Err(denial(asked, &new));
            }
        }
        Err(Denial::UndecidedPolicy)
    }
}

/// What a call is refused with for which there is no yes, or none any more.
fn denial(asked: Asked, new: &NewApproval) -> Denial {
    match asked {
        Asked::Open { id, expires_ms } => Denial::ApprovalRequired(Box::new(Approval {
            is_new: id == new.id,
            id: id.into(),
            message: Shown::before(new).text(),
            expires_ms,
        })),
        Asked::DeniedBefore => Denial::ApprovalDenied,
        Asked::TooOften => Denial::ApprovalsExhausted,
        Asked::Approved => Denial::UndecidedPolicy,
    }
}

/// What is unusual about a call, given what its caller has done within the hour.
fn unusual(counts: Counts) -> Vec<String> {
    let mut unusual = Vec::new();
    if counts.calls_of_tool == 0 {
        unusual.push("the first call of this tool within the hour.".to_owned());
    }
    if counts.denials > 0 {
        unusual.push(format!(
            "{} of its requests were refused within the hour.",
            counts.denials
        ));
    }
    unusual
}

/// One line in which nothing is hidden: what is neither visible ASCII nor a letter or digit is written as an escape, and so are
/// the letters that cannot be seen.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let is_blank = matches!(char, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
        let is_letter = !char.is_ascii() && char.is_alphanumeric() && !is_blank;
        if matches!(char, ' '..='~') || is_letter {
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

#[cfg(test)]
mod tests;
