//! The refusals, each with a stable code and one sentence for the caller.
//!
//! A sentence never repeats a value, a path or another user's name; what an operator needs beyond it
//! is in the chain of sources.

use portcullis_store::RecordError;

use crate::schema::{Faults, Unusable};

/// Why a message goes no further. The `Display` text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// No method of that name is served, or not in this era.
    #[error("the method is not served")]
    MethodNotAllowed,
    /// The server has no tool of that name.
    #[error("the server has no such tool")]
    UnknownTool,
    /// The tool's input schema cannot be checked against.
    #[error("the tool's input schema cannot be used")]
    UnusableTool(#[source] Unusable),
    /// A member of the params is missing or of the wrong kind.
    #[error("the params are malformed at `{member}`")]
    MalformedParams {
        /// The member, `params` for the whole.
        member: &'static str,
    },
    /// The token's scopes do not open what is asked for.
    #[error("the scopes granted do not open it")]
    InsufficientScope {
        /// All scopes that the request needs, separated by spaces; `None`: no scope opens it.
        needed: Option<Box<str>>,
    },
    /// The arguments do not fit the tool's input schema.
    #[error("the arguments do not fit the input schema: {0}")]
    InvalidArguments(Faults),
    /// Whether the arguments fit could not be decided within the bounds.
    #[error("the arguments could not be checked within the bounds")]
    UndecidedArguments,
    /// A part of the request exceeds its bound.
    #[error("`{member}` exceeds its bound of {max}")]
    TooLarge {
        /// Which part.
        member: &'static str,
        /// The bound: bytes, or entries of a list.
        max: usize,
    },
    /// The result exceeds a bound.
    #[error("`{member}` of the result exceeds its bound of {max}")]
    ResultTooLarge {
        /// Which part.
        member: &'static str,
        /// The bound: bytes, or entries of a list.
        max: usize,
    },
    /// The result is not what its method returns.
    #[error("the result is malformed at `{member}`")]
    MalformedResult {
        /// The member, `result` for the whole.
        member: &'static str,
    },
    /// The result does not fit the tool's output schema.
    #[error("the result does not fit the output schema: {0}")]
    InvalidResult(Faults),
    /// The tool's output schema cannot be checked against.
    #[error("the tool's output schema cannot be used")]
    UnusableOutput(#[source] Unusable),
    /// Whether the result fits could not be decided within the bounds.
    #[error("the result could not be checked within the bounds")]
    UndecidedResult,
    /// A server's request to the client is malformed.
    #[error("the server's request is malformed at `{member}`")]
    MalformedAsk {
        /// The member, `params` for the whole.
        member: &'static str,
    },
    /// A server's request or notification exceeds its bound.
    #[error("`{member}` of the server's message exceeds its bound of {max}")]
    AskTooLarge {
        /// Which part.
        member: &'static str,
        /// The bound: bytes, or entries of a list.
        max: usize,
    },
    /// A form asks the user for a secret.
    #[error("a form asks for a secret, by the word `{word}`")]
    SecretElicitation {
        /// The word that gave it away, from the gateway's own list.
        word: &'static str,
    },
    /// The user would be sent to an address that is not safe.
    #[error("the address to visit is refused: {reason}")]
    UnsafeElicitationUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The client's answer to a server's request is malformed or too large.
    #[error("the client's answer is malformed at `{member}`")]
    MalformedAnswer {
        /// The member, `result` for the whole.
        member: &'static str,
    },
    /// The record could not be written.
    #[error("the call could not be recorded")]
    UndecidedRecord(#[from] RecordError),
}

impl Denial {
    /// The stable code: in the caller's answer, in the record, in `docs/reference/denials.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownTool => "unknown-tool",
            Self::UnusableTool(_) => "unusable-tool",
            Self::MalformedParams { .. } => "malformed-params",
            Self::InsufficientScope { .. } => "insufficient-scope",
            Self::InvalidArguments(_) => "invalid-arguments",
            Self::UndecidedArguments => "undecided-arguments",
            Self::TooLarge { .. } => "too-large",
            Self::ResultTooLarge { .. } => "result-too-large",
            Self::MalformedResult { .. } => "malformed-result",
            Self::InvalidResult(_) => "invalid-result",
            Self::UnusableOutput(_) => "unusable-output",
            Self::UndecidedResult => "undecided-result",
            Self::MalformedAsk { .. } => "malformed-ask",
            Self::AskTooLarge { .. } => "ask-too-large",
            Self::SecretElicitation { .. } => "secret-elicitation",
            Self::UnsafeElicitationUrl { .. } => "unsafe-elicitation-url",
            Self::MalformedAnswer { .. } => "malformed-answer",
            Self::UndecidedRecord(_) => "undecided-record",
        }
    }

    /// One sentence that is safe for the caller and ends with what to do next.
    pub fn sentence(&self) -> String {
        match self {
            Self::MethodNotAllowed => {
                "the gateway does not serve this method; use a method of the negotiated revision".into()
            }
            Self::UnknownTool => {
                "no tool of this name is offered; list the tools again and use a name from the list"
                    .into()
            }
            Self::UnusableTool(unusable) => format!(
                "the tool's input schema cannot be checked ({unusable}); ask the server's author to mend \
                 the schema"
            ),
            Self::MalformedParams { member } => format!(
                "`{member}` is missing or of the wrong kind; send it as the protocol's schema says"
            ),
            Self::InsufficientScope { needed: Some(needed) } => format!(
                "the token lacks a scope that this needs; ask for `{needed}`"
            ),
            Self::InsufficientScope { needed: None } => {
                "no scope opens this; ask the gateway's operator to define one".into()
            }
            Self::InvalidArguments(faults) => format!(
                "the arguments do not fit the tool's input schema: {faults}; correct them and call again"
            ),
            Self::UndecidedArguments => {
                "the arguments are too intricate to be checked; send fewer or flatter ones".into()
            }
            Self::TooLarge { member, max } => {
                format!("`{member}` is larger than {max}; send less at a time")
            }
            Self::ResultTooLarge { member, max } => format!(
                "the server's result was withheld: `{member}` is larger than {max}; ask for less at a time"
            ),
            Self::MalformedResult { member } => format!(
                "the server's result was withheld: `{member}` is missing or of the wrong kind; report it \
                 to the server's author"
            ),
            Self::InvalidResult(faults) => format!(
                "the server's result was withheld: it does not fit the tool's output schema ({faults}); \
                 report it to the server's author"
            ),
            Self::UnusableOutput(unusable) => format!(
                "the server's result was withheld: the tool's output schema cannot be checked \
                 ({unusable}); ask the server's author to mend the schema"
            ),
            Self::UndecidedResult => {
                "the server's result was withheld: it is too intricate to be checked; ask for less at a time"
                    .into()
            }
            Self::MalformedAsk { member } => format!(
                "the gateway refused what the server asked: `{member}` is missing or of the wrong kind; \
                 send it as the protocol's schema says"
            ),
            Self::AskTooLarge { member, max } => format!(
                "the gateway refused what the server sent: `{member}` is larger than {max}; send less at \
                 a time"
            ),
            Self::SecretElicitation { word } => format!(
                "the gateway refused a form that asks for a secret (`{word}`); use URL elicitation for \
                 credentials"
            ),
            Self::UnsafeElicitationUrl { reason } => format!(
                "the gateway refused the address the user would visit: {reason}; use an https address"
            ),
            Self::MalformedAnswer { member } => format!(
                "the answer was refused: `{member}` is missing or of the wrong kind; answer as the \
                 protocol's schema says"
            ),
            Self::UndecidedRecord(_) => {
                "the call could not be recorded, so it was not made; ask the gateway's operator to check \
                 its disk, then call again"
                    .into()
            }
        }
    }

    /// Every code with what it means, in the order of the checks: the source of
    /// `docs/reference/denials.md`.
    pub fn codes() -> &'static [(&'static str, &'static str)] {
        &[
            (
                "method-not-allowed",
                "No method of that name is served, or not in this era.",
            ),
            ("unknown-tool", "The server has no tool of that name."),
            (
                "unusable-tool",
                "The tool's input schema cannot be checked against: an unknown dialect, a reference out \
                 of the document, a pattern that cannot be compiled, or too large.",
            ),
            (
                "malformed-params",
                "A member of the params is missing or of the wrong kind.",
            ),
            (
                "too-large",
                "The params, a name, a URI, a cursor, `requestState` or `inputResponses` exceed their bound.",
            ),
            (
                "insufficient-scope",
                "The access token's scopes do not open the tool, prompt or resource.",
            ),
            (
                "invalid-arguments",
                "The arguments do not fit the tool's input schema, or hold a property that it does not \
                 declare.",
            ),
            (
                "undecided-arguments",
                "Whether the arguments fit could not be decided within the bounds of evaluation.",
            ),
            (
                "undecided-record",
                "The call could not be recorded, so it was not made: the disk is full or failing, or the \
                 gateway is shutting down.",
            ),
            (
                "result-too-large",
                "The result, or a list in it, exceeds its bound.",
            ),
            (
                "malformed-result",
                "The result is not what its method returns.",
            ),
            (
                "invalid-result",
                "`structuredContent` is missing or does not fit the tool's output schema.",
            ),
            (
                "unusable-output",
                "The tool's output schema cannot be checked against.",
            ),
            (
                "undecided-result",
                "Whether the result fits could not be decided within the bounds of evaluation.",
            ),
            (
                "malformed-ask",
                "A server's request to the client is malformed.",
            ),
            (
                "ask-too-large",
                "A server's request or notification exceeds its bound.",
            ),
            ("secret-elicitation", "A form asks the user for a secret."),
            (
                "unsafe-elicitation-url",
                "The address a user would be sent to is not https, or holds a user name or password.",
            ),
            (
                "malformed-answer",
                "The client's answer to a server's request is malformed or too large.",
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
