//! What is answered, and the policies that made it so.

use std::sync::Arc;

/// The ids of the policies that determined a decision, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Determined(Vec<Arc<str>>);

impl Determined {
    pub(crate) fn new(mut ids: Vec<Arc<str>>) -> Self {
        ids.sort();
        ids.dedup();
        Self(ids)
    }

    /// The ids, sorted.
    pub fn ids(&self) -> &[Arc<str>] {
        &self.0
    }
}

/// The answer to a [`Query`](crate::Query).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allow(Determined),
    /// It may be done once a person says yes.
    Ask {
        /// The policies that a yes turns.
        determined: Determined,
        /// Their `@ask("…")`, to be shown to the person.
        reasons: Vec<String>,
    },
    /// It may not be done.
    Deny {
        /// The policies that forbid it, or that could not be evaluated.
        determined: Determined,
        /// Why.
        reason: DenyReason,
    },
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// No policy permits it.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// It could not be decided: a policy or a value could not be evaluated, or a definition is not known.
    Undecided,
}

impl Decision {
    /// Whether it may be done now.
    pub fn is_allow(&self) -> bool {
        match self {
            Self::Allow(_) => true,
            Self::Ask { .. } | Self::Deny { .. } => false,
        }
    }

    /// The policies that determined it.
    pub fn determined(&self) -> &Determined {
        match self {
            Self::Allow(determined)
            | Self::Ask { determined, .. }
            | Self::Deny { determined, .. } => determined,
        }
    }
}
