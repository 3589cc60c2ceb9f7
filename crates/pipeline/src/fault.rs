//! What a client is told when a server answers with a JSON-RPC error.
//!
//! Servers put stack traces, paths and credentials into errors. The code passes; a message passes when
//! it reads like a sentence, and `data` where the protocol defines it. The operator's log has the rest.

use portcullis_mcp::{Object, RpcError, code};

/// What replaces a message that does not pass.
const REPLACEMENT: &str =
    "the server reported an error; its operator finds the details in the gateway's log";

/// The longest message that passes, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// How much of an error is logged, in bytes.
const LOGGED_BYTES_MAX: usize = 2 << 10;

/// Parts of a message that belong to a stack trace or a secret, compared without regard to case.
const TELLTALES: [&str; 13] = [
    "traceback",
    "file \"",
    " at /",
    "stack trace",
    "stacktrace",
    "stack backtrace",
    "panicked at",
    ".py\", line",
    "-----begin",
    "bearer ",
    "password=",
    "passwd=",
    "secret=",
];

/// Ends of file names that a line number follows in a stack trace.
const FRAMES: [&str; 8] = [
    ".rs:", ".js:", ".mjs:", ".cjs:", ".ts:", ".java:", ".go:", ".py:",
];

/// Makes a server's error safe for the client; beside it, whether anything was taken out.
pub fn safe_error(error: RpcError) -> (RpcError, bool) {
    let keeps_data = keeps_data(&error);
    let is_unsafe = is_unsafe(&error.message);
    let changed = !keeps_data || is_unsafe || !error.rest.is_empty();
    let safe = RpcError {
        code: error.code,
        message: if is_unsafe {
            REPLACEMENT.into()
        } else {
            error.message
        },
        data: error.data.filter(|_| keeps_data),
        rest: Vec::new(),
    };
    (safe, changed)
}

/// Makes a server's error safe for the client, and logs what that took out.
pub(crate) fn check(error: RpcError) -> RpcError {
    let original = error.clone();
    let (safe, changed) = safe_error(error);
    if changed {
        let data = original.data.as_deref().unwrap_or_default();
        tracing::info!(
            code = original.code,
            message = %logged(original.message.as_bytes()),
            data = %logged(data),
            "a server's error was cut for the client"
        );
    }
    safe
}

/// The beginning of what is logged, with control characters escaped.
fn logged(bytes: &[u8]) -> String {
    let cut = bytes.get(..LOGGED_BYTES_MAX / 2).unwrap_or(bytes);
    String::from_utf8_lossy(cut)
        .chars()
        .flat_map(|char| {
            let is_plain = !char.is_control();
            let escaped = (!is_plain).then(|| char.escape_default());
            is_plain
                .then_some(char)
                .into_iter()
                .chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// Whether the protocol defines the data of the error.
fn keeps_data(error: &RpcError) -> bool {
    let Some(data) = &error.data else {
        return true;
    };
    match error.code {
        code::RESOURCE_NOT_FOUND
        | code::URL_ELICITATION_REQUIRED
        | code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_PROTOCOL_VERSION => true,
        // Since 2026-07-28 a resource that is not found is reported so.
        code::INVALID_PARAMS => {
            Object::parse(data).is_some_and(|data| data.len() == 1 && data.get_str("uri").is_some())
        }
        _ => false,
    }
}

/// Whether a message may hold what is not for the client.
fn is_unsafe(message: &str) -> bool {
    if message.chars().any(char::is_control) || message.chars().count() > MESSAGE_CHARS_MAX {
        return true;
    }
    let message = message.to_ascii_lowercase();
    TELLTALES.iter().any(|part| message.contains(part))
        || FRAMES.iter().any(|end| has_frame(&message, end))
        || has_userinfo(&message)
}

/// Whether the end of a file name stands before a digit.
fn has_frame(message: &str, end: &str) -> bool {
    message
        .split(end)
        .skip(1)
        .any(|after| after.starts_with(|char: char| char.is_ascii_digit()))
}

/// Whether a URL names a user (RFC 3986, section 3.2.1).
fn has_userinfo(message: &str) -> bool {
    message.split("://").skip(1).any(|after| {
        let is_end = |char: char| char.is_whitespace() || matches!(char, '/' | '?' | '#' | '"');
        let authority = after.split(is_end).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests;
