//! Typed constraints on the arguments of tool calls.
//!
//! A string test in a policy compares spellings; what it guards is a file, a host, a program, a
//! table. So each rule here parses its argument by the rules of its kind, decides on what it means,
//! and where two readers could differ, hands back the one spelling that may be sent on. What cannot
//! be parsed is refused.
//!
//! [`Constraints::check`] judges one call. [`infer()`] and [`preset`] propose rules for a person to
//! review, and [`defaults`] are those that hold even where nobody configured any. Names are not
//! resolved here: [`Checked::hosts`] lists what the caller has to resolve and check.

mod characters;
mod constraints;
mod generalise;
mod host;
mod infer;
mod pointer;
pub mod preset;
mod rule;
mod violation;

pub use constraints::{Checked, Constraints, Files, HostToResolve, InvalidRule, Surroundings};
pub use generalise::{generalise, places};
pub use infer::{Hints, Proposal, defaults, infer};
pub use rule::command::{CommandRule, ProgramRule};
pub use rule::domain::DomainRule;
pub use rule::email::EmailRule;
pub use rule::enumeration::EnumRule;
pub use rule::number::NumberRule;
pub use rule::path::{Access, PathRule, ResolvedPath};
pub use rule::sql::{SqlDialect, SqlRule, StatementKind};
pub use rule::text::{Alphabet, TextRule};
pub use rule::url::UrlRule;
pub use rule::{Mistake, Rule, Rules};
pub use violation::{Reason, Violation};
