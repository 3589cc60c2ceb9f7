//! The refusals, each with a stable code and one sentence for the caller.
//!
//! A sentence never repeats a value, a path or another user's name; what an operator needs beyond it
//! is in the chain of sources.

use std::sync::Arc;

use portcullis_constraint::Violation;
use portcullis_store::RecordError;

use crate::approve::Approval;
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
    /// An argument breaks a constraint.
    #[error("an argument breaks its constraint: {0}")]
    Constraint(Box<Violation>),
    /// A constraint of the tool cannot be checked.
    #[error("a constraint on the tool's arguments cannot be used")]
    UndecidedConstraint,
    /// An argument names a host that may not be reached.
    #[error("the host at `{pointer}` may not be reached")]
    AddressRefused {
        /// The argument's JSON pointer.
        pointer: Arc<str>,
    },
    /// No policy permits it.
    #[error("no policy permits it")]
    NotPermitted,
    /// A policy forbids it.
    #[error("a policy forbids it")]
    Forbidden,
    /// The policies could not be evaluated.
    #[error("the policies could not decide")]
    UndecidedPolicy,
    /// A person has to approve of the call first.
    #[error("a person has to approve of the call")]
    ApprovalRequired(Box<Approval>),
    /// A person has said no to the same call a short while ago.
    #[error("a person has said no to this call")]
    ApprovalDenied,
    /// The caller raises too many questions.
    #[error("the caller has raised too many questions to people")]
    ApprovalsExhausted,
    /// A part of the request exceeds its bound.
    #[error("`{member}` exceeds its bound of {max}")]
    TooLarge {
        /// Which part.
        member: &'static str,
        /// The bound: bytes, or entries of a list.
        max: usize,
    },
    /// A path among the arguments led elsewhere when the call was over.
    #[error("a path led elsewhere during the call")]
    PathMoved,
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
            Self::Constraint(_) => "constraint",
            Self::UndecidedConstraint => "undecided-constraint",
            Self::AddressRefused { .. } => "address-refused",
            Self::NotPermitted => "not-permitted",
            Self::Forbidden => "forbidden",
            Self::UndecidedPolicy => "undecided-policy",
            Self::ApprovalRequired(_) => "approval-required",
            Self::ApprovalDenied => "approval-denied",
            Self::ApprovalsExhausted => "approvals-exhausted",
            Self::TooLarge { .. } => "too-large",
            Self::PathMoved => "path-moved",
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
            Self::Constraint(violation) => format!(
                "the argument breaks a constraint of the gateway: {violation}; correct it and call again"
            ),
            Self::UndecidedConstraint => {
                "a constraint on the tool's arguments cannot be checked; ask the gateway's operator to \
                 mend it"
                    .into()
            }
            Self::AddressRefused { pointer } => format!(
                "the host named at `{pointer}` may not be reached; use a public address, or ask the \
                 gateway's operator to allow it"
            ),
            Self::NotPermitted => {
                "no policy of the gateway permits this; ask its operator for a policy that does".into()
            }
            Self::Forbidden => {
                "a policy of the gateway forbids this; ask its operator before you try again".into()
            }
            Self::UndecidedPolicy => {
                "the gateway's policies could not decide on this, so it was refused; ask its operator to \
                 mend them"
                    .into()
            }
            Self::ApprovalRequired(approval) => format!(
                "a person has to approve of this call first; have somebody run `portcullis approvals allow \
                 {}`, then repeat the same call",
                approval.id
            ),
            Self::ApprovalDenied => {
                "a person has said no to this call; do not repeat it".into()
            }
            Self::ApprovalsExhausted => {
                "people have been asked too often on your behalf; wait before you try again".into()
            }
            Self::TooLarge { member, max } => {
                format!("`{member}` is larger than {max}; send less at a time")
            }
            Self::PathMoved => {
                "the server's result was withheld: a path among the arguments led elsewhere while the call \
                 was made; call again"
                    .into()
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
                "constraint",
                "An argument breaks a constraint: a path, URL, command, SQL statement, text, number, address or \
                 domain that is not allowed.",
            ),
            (
                "undecided-constraint",
                "A constraint on the tool's arguments cannot be used.",
            ),
            (
                "address-refused",
                "An argument names a host that has no address, or one that may not be reached.",
            ),
            ("not-permitted", "No policy permits it."),
            ("forbidden", "A policy forbids it."),
            (
                "undecided-policy",
                "The policies could not be evaluated, or do not fit what the server defines.",
            ),
            (
                "approval-required",
                "A person has to approve of this very call first.",
            ),
            (
                "approval-denied",
                "A person has said no to the same call a short while ago.",
            ),
            (
                "approvals-exhausted",
                "The caller has raised too many questions to people.",
            ),
            (
                "undecided-record",
                "The call could not be recorded, so it was not made: the disk is full or failing, or the \
                 gateway is shutting down.",
            ),
            (
                "path-moved",
                "A path among the arguments led elsewhere when the call was over, as when a link is swapped.",
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
