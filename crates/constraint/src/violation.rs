//! Why a call's arguments are refused.

use thiserror::Error;

/// An argument that a rule refuses.
///
/// Its `Display` may go to the caller: it holds neither the argument's value, nor a path of this
/// machine, nor a name that the caller chose.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the argument `{pointer}` is not a permitted {kind}: {reason}")]
pub struct Violation {
    /// Where it is: the rule's JSON pointer (RFC 6901), with the index of an array element in
    /// place of `*`. A member that `*` matched stays `*`.
    pub pointer: String,
    /// The type of the rule, as the configuration spells it.
    pub kind: &'static str,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Reason {
    /// A required argument is absent or null.
    #[error("it is required; give it")]
    Missing,
    /// The value is of a JSON type that the rule does not handle.
    #[error("it is of another JSON type than the rule handles")]
    WrongType,
    /// There is more of it than is permitted.
    #[error("it is too large; give less")]
    TooLarge,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// Control, invisible, bidirectional or tag characters.
    #[error("it has control or invisible characters; remove them")]
    Invisible,
    /// Characters that only look like others, or of scripts that are mixed.
    #[error("it has characters that look like others; write it in plain ones")]
    LookAlike,
    /// Encoded or escaped characters that a second reader could decode.
    #[error("it is encoded; write it plainly")]
    Encoded,
    /// Spelt in a way that readers understand differently.
    #[error("it is spelt ambiguously; write it in the plain form")]
    Ambiguous,
    /// It could be taken for an option.
    #[error("it begins like an option")]
    OptionLike,
    /// Not of the syntax of its kind.
    #[error("it is not well formed")]
    Malformed,
    /// A path that does not lead beneath a permitted root.
    #[error("it does not lead beneath a permitted directory")]
    OutsideRoots,
    /// A path or name that is denied.
    #[error("it is denied")]
    Denied,
    /// A hidden file.
    #[error("it is or lies in a hidden file or directory")]
    Hidden,
    /// A file that holds secrets or reaches into processes and devices.
    #[error("it may hold secrets")]
    Secret,
    /// A path that has to exist.
    #[error("it does not exist")]
    Absent,
    /// A scheme that is not listed.
    #[error("its scheme is not permitted")]
    Scheme,
    /// Credentials in a URL.
    #[error("it has credentials in it; remove them")]
    Credentials,
    /// A host or domain that is not listed, or is of a local network.
    #[error("its host is not permitted")]
    Host,
    /// A port that is not listed.
    #[error("its port is not permitted")]
    Port,
    /// A URL's path that is not listed.
    #[error("its path is not permitted")]
    UrlPath,
    /// A shell metacharacter.
    #[error("it has characters that a shell interprets; no shell is permitted")]
    Metacharacter,
    /// A program that is not listed.
    #[error("its program is not permitted")]
    Program,
    /// A subcommand that is not listed.
    #[error("its subcommand is not permitted")]
    Subcommand,
    /// A flag that is not listed.
    #[error("one of its flags is not permitted")]
    Flag,
    /// An operand where none is permitted.
    #[error("one of its operands is not permitted")]
    Operand,
    /// Another number of statements than one.
    #[error("it has to be one statement")]
    StatementCount,
    /// A kind of statement, or a clause, that is not permitted.
    #[error("it has a statement or clause that is not permitted")]
    Statement,
    /// A table that is not listed.
    #[error("it uses a table that is not permitted")]
    Table,
    /// A function that is not listed.
    #[error("it uses a function that is not permitted")]
    Function,
    /// An update or delete of all rows.
    #[error("it has to say which rows, by a condition on a column")]
    NoCondition,
    /// A number outside its bounds, or one that is not exact.
    #[error("it is out of range")]
    OutOfRange,
    /// Text that does not match its pattern or alphabet.
    #[error("it does not match what is permitted")]
    Pattern,
    /// Not one of the listed values.
    #[error("it is none of the permitted values")]
    NotListed,
}
