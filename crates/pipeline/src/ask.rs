//! What a server asks of a client: sampling, elicitation, roots.
//!
//! A form must not ask for secrets, and an address must be safe to visit (MCP 2026-07-28, elicitation,
//! security considerations: servers must not ask for sensitive information by form; clients must not
//! open an address that is not https).

use bytes::Bytes;
use portcullis_mcp::{Era, Object, ServerName, elements, method};
use url::{Host, Url};

use crate::admit::URI_BYTES_MAX;
use crate::{Denial, Principal, RequestId, ResultBody, ResultKind, Settings, Timestamp};

/// The most messages of a sampling request, and the most fields of a form.
const ENTRIES_MAX: usize = 1000;

/// A request from a server to the client.
#[derive(Debug)]
pub struct Ask {
    /// The gateway's own identifier.
    pub id: RequestId,
    /// When it arrived.
    pub at: Timestamp,
    /// The principal whose client is asked.
    pub principal: Principal,
    /// The server that asks.
    pub server: ServerName,
    /// The method.
    pub method: Box<str>,
    /// The params, a JSON object whose bytes were scanned.
    pub params: Option<Bytes>,
    /// The client's era.
    pub era_client: Era,
    /// The server's era.
    pub era_server: Era,
}

/// Words of a field's name, title or format that stand for a secret: each alone, or two in a row.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "ssn",
    "otp",
    "totp",
    "iban",
    "api key",
    "access key",
    "private key",
    "secret key",
    "signing key",
    "encryption key",
    "ssh key",
    "credit card",
    "debit card",
    "card number",
    "card no",
    "security code",
    "social security",
    "auth code",
    "verification code",
    "recovery code",
    "backup code",
    "seed phrase",
    "recovery phrase",
    "pin code",
    "bank account",
    "account number",
];

/// Words that make a harmless one of the word before them: `token count`, `secret name`.
const HARMLESS_AFTER: &[&str] = &[
    "count", "limit", "budget", "name", "names", "id", "type", "policy", "length", "expiry", "ttl",
];

pub(crate) fn check(ask: &Ask, settings: &Settings) -> Result<(), Denial> {
    check_parts(&ask.method, ask.params.as_deref(), settings)
}

/// Checks one request of a server, whether it came as such or within `inputRequests`.
pub(crate) fn check_parts(
    name: &str,
    params: Option<&[u8]>,
    settings: &Settings,
) -> Result<(), Denial> {
    let params = params.unwrap_or(b"{}");
    let max = settings.ask_bytes_max;
    if params.len() > max {
        return Err(Denial::AskTooLarge {
            member: "params",
            max,
        });
    }
    let params = Object::parse(params).ok_or(Denial::MalformedAsk { member: "params" })?;
    match name {
        method::SAMPLING_CREATE_MESSAGE => sampling(&params),
        method::ELICITATION_CREATE => elicitation(&params),
        method::ROOTS_LIST | method::PING => Ok(()),
        // Tasks of 2025-11-25 that the client hosts.
        method::TASKS_GET | method::TASKS_RESULT | method::TASKS_CANCEL | method::TASKS_LIST => {
            Ok(())
        }
        _ => Err(Denial::MethodNotAllowed),
    }
}

/// Checks the client's answer, a result.
pub(crate) fn check_answer(
    ask: &Ask,
    answer: Bytes,
    settings: &Settings,
) -> Result<ResultBody, Denial> {
    let malformed = |member| Denial::MalformedAnswer { member };
    if answer.len() > settings.params_bytes_max {
        return Err(malformed("result"));
    }
    let object = Object::parse(&answer).ok_or(malformed("result"))?;
    match &*ask.method {
        method::ELICITATION_CREATE => {
            let action = object.get_str("action");
            if !matches!(action.as_deref(), Some("accept" | "decline" | "cancel")) {
                return Err(malformed("action"));
            }
            if object
                .get("content")
                .is_some_and(|it| !portcullis_mcp::is_object(it))
            {
                return Err(malformed("content"));
            }
        }
        method::ROOTS_LIST => {
            let roots = object
                .get("roots")
                .and_then(elements)
                .ok_or(malformed("roots"))?;
            if roots.len() > ENTRIES_MAX {
                return Err(malformed("roots"));
            }
        }
        method::SAMPLING_CREATE_MESSAGE
            if object.get_str("role").is_none() || !object.contains("content") =>
        {
            return Err(malformed("content"));
        }
        _ => {}
    }
    drop(object);
    Ok(ResultBody::new(answer, ResultKind::Complete, None))
}

fn sampling(params: &Object<'_>) -> Result<(), Denial> {
    let member = "messages";
    let messages = params
        .get(member)
        .and_then(elements)
        .ok_or(Denial::MalformedAsk { member })?;
    if messages.len() > ENTRIES_MAX {
        return Err(Denial::AskTooLarge {
            member,
            max: ENTRIES_MAX,
        });
    }
    Ok(())
}

fn elicitation(params: &Object<'_>) -> Result<(), Denial> {
    if params.get_str("message").is_none() {
        return Err(Denial::MalformedAsk { member: "message" });
    }
    match params.get("mode") {
        None => form(params),
        Some(_) => match params.get_str("mode").as_deref() {
            Some("form") => form(params),
            Some("url") => address(params),
            Some(_) | None => Err(Denial::MalformedAsk { member: "mode" }),
        },
    }
}

fn form(params: &Object<'_>) -> Result<(), Denial> {
    // A form with an address in it would be read as one or the other.
    if params.contains("url") {
        return Err(Denial::MalformedAsk { member: "url" });
    }
    let member = "requestedSchema";
    let schema = params
        .get(member)
        .and_then(Object::parse)
        .ok_or(Denial::MalformedAsk { member })?;
    let Some(properties) = schema.get("properties") else {
        return Err(Denial::MalformedAsk {
            member: "properties",
        });
    };
    let properties = Object::parse(properties).ok_or(Denial::MalformedAsk {
        member: "properties",
    })?;
    if properties.len() > ENTRIES_MAX {
        return Err(Denial::AskTooLarge {
            member: "properties",
            max: ENTRIES_MAX,
        });
    }
    for (name, field) in properties.iter() {
        let field = Object::parse(field).ok_or(Denial::MalformedAsk {
            member: "properties",
        })?;
        // Forms are flat; a nested object could hide a field.
        if field.contains("properties") {
            return Err(Denial::MalformedAsk {
                member: "properties",
            });
        }
        // A yes or no gives no secret away: `remember_password`.
        if field.get_str("type").as_deref() == Some("boolean") {
            continue;
        }
        let title = field.get_str("title");
        let format = field.get_str("format");
        for text in [Some(name), title.as_deref(), format.as_deref()]
            .into_iter()
            .flatten()
        {
            if let Some(word) = secret_word(text) {
                return Err(Denial::SecretElicitation { word });
            }
        }
    }
    Ok(())
}

/// The word of [`SECRET_WORDS`] that stands in `text`, read as words: `apiKey`, `API-key`, `api_key`.
fn secret_word(text: &str) -> Option<&'static str> {
    let words = words(text);
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let next = rest.peek().map_or("", |next| next.as_str());
        for secret in SECRET_WORDS.iter().copied() {
            let hit = match secret.split_once(' ') {
                Some((first, second)) => {
                    (word == first && next == second) || *word == format!("{first}{second}")
                }
                None => word == secret && !HARMLESS_AFTER.contains(&next),
            };
            if hit {
                return Some(secret);
            }
        }
    }
    None
}

/// The words of an identifier or a title, in lower case.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for char in text.chars().take(1024) {
        if !char.is_alphanumeric() || (was_lower && char.is_uppercase()) {
            words.push(std::mem::take(&mut word));
        }
        if char.is_alphanumeric() {
            word.extend(char.to_lowercase());
        }
        was_lower = char.is_lowercase();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn address(params: &Object<'_>) -> Result<(), Denial> {
    let text = params
        .get_str("url")
        .ok_or(Denial::MalformedAsk { member: "url" })?;
    let refuse = |reason| Err(Denial::UnsafeElicitationUrl { reason });
    if text.len() > URI_BYTES_MAX {
        return Err(Denial::AskTooLarge {
            member: "url",
            max: URI_BYTES_MAX,
        });
    }
    // WHATWG parsing drops tabs and newlines, and reads a backslash as a slash: a reader of the text
    // would see another address than a browser visits.
    if text
        .chars()
        .any(|char| char.is_control() || char.is_whitespace() || char == '\\')
    {
        return refuse("it holds white space, a control character or a backslash");
    }
    let Ok(url) = Url::parse(&text) else {
        return refuse("it is not an address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds a user name or a password");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return refuse("it has no host"),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => refuse("it is not https"),
        _ => refuse("its scheme is not https"),
    }
}

#[cfg(test)]
mod tests;
