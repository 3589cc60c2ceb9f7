//! Who asks, as it was established before the pipeline.

use std::sync::Arc;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The name by which rules and records know it.
    pub name: Arc<str>,
    /// How it was established.
    pub kind: PrincipalKind,
}

/// How a principal was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A connection from this machine to a listener that asks for no token.
    Local,
    /// A bearer token.
    Token,
    /// The process that started the gateway and speaks to it over standard input.
    Stdio,
}
