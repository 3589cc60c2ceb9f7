//! Cedar: schema, entities, decisions.
//!
//! Policies are compiled against the definitions of the servers' tools: a policy that names a tool or
//! an argument that does not exist does not load. What they decide is a function of the query alone:
//! nothing here reads a file, a clock or a network.

// Each case of a decision is named, so that a new one stops the build.
#![warn(clippy::wildcard_enum_match_arm)]

mod analysis;
mod arguments;
mod assume;
mod check;
mod circumstances;
mod condition;
mod decision;
mod evaluation;
mod index;
mod mistake;
mod names;
mod offer;
mod part;
mod policies;
mod preset;
mod query;
mod schema;
mod shape;
mod source;
mod spelling;
mod subject;
mod tailor;
mod uses;
mod world;

pub use analysis::{Oddity, OddityKind};
pub use decision::{Decision, DenyReason, Determined};
pub use mistake::{Mistake, PolicyFile};
pub use policies::{Compiled, Policies};
pub use preset::Preset;
pub use query::{ActionRef, History, Query, Who};
pub use shape::{Hints, ServerShape, ToolShape};
