//! Who asks, as it was established before the pipeline.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The [`Principal::holder`] of whoever sits at this machine.
pub const LOCAL_HOLDER: &str = "local:local";

/// Who asks.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The name by which rules and records know it.
    pub name: Arc<str>,
    /// How it was established.
    pub kind: PrincipalKind,
    /// The OAuth client that acts for it, when it is known by a token.
    pub client: Option<Arc<str>>,
    /// What it has been granted.
    pub granted: Granted,
    /// The groups it is in, as whoever vouches for it names them.
    pub groups: Arc<[Box<str>]>,
    identity: Arc<str>,
}

/// How a principal was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A connection from this machine to a listener that asks for no token.
    Local,
    /// A bearer token of the configuration.
    Token,
    /// An access token: the name is an account or a subject.
    User,
    /// An API key.
    Key,
    /// A client certificate.
    Certificate,
    /// The process that started the gateway and speaks to it over standard input.
    Stdio,
}

/// What a principal has been granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// Whatever the other checks let through: the operator named no scopes for it.
    Everything,
    /// What these scopes open.
    Scopes(Arc<[Box<str>]>),
}

impl PrincipalKind {
    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Local,
            Self::Token,
            Self::User,
            Self::Key,
            Self::Certificate,
            Self::Stdio,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }

    /// The word for it in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Token => "token",
            Self::User => "user",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Stdio => "stdio",
        }
    }
}

impl Principal {
    /// A principal that no client acts for and no scope restricts.
    pub fn new(name: impl Into<Arc<str>>, kind: PrincipalKind) -> Self {
        Self::acting(name, kind, None, Granted::Everything)
    }

    /// A principal for which `client` acts, with what it has been granted.
    pub fn acting(
        name: impl Into<Arc<str>>,
        kind: PrincipalKind,
        client: Option<Arc<str>>,
        granted: Granted,
    ) -> Self {
        let name = name.into();
        // The length keeps the parts apart, whatever is in them.
        let acting = client.as_deref().unwrap_or_default();
        let identity = format!("{} {}:{name} {acting}", kind.as_str(), name.len()).into();
        Self {
            name,
            kind,
            client,
            granted,
            groups: Arc::default(),
            identity,
        }
    }

    /// The same principal, in these groups.
    #[must_use]
    pub fn in_groups(self, groups: Arc<[Box<str>]>) -> Self {
        Self { groups, ..self }
    }

    /// Whose credentials toward servers it uses: the same whichever client acts for it.
    ///
    /// An account's are kept under its name alone, which has no colon. Whoever sits at this machine is one holder, by socket or
    /// by pipe.
    pub fn holder(&self) -> Box<str> {
        match self.kind {
            PrincipalKind::User if !self.name.contains(':') => (*self.name).into(),
            PrincipalKind::Local | PrincipalKind::Stdio => LOCAL_HOLDER.into(),
            PrincipalKind::User
            | PrincipalKind::Token
            | PrincipalKind::Key
            | PrincipalKind::Certificate => format!("{}:{}", self.kind.as_str(), self.name).into(),
        }
    }

    /// A text that no other principal has: what is handed out is bound to it.
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }
}

/// What was granted and its groups are no part of who it is: they may change between two requests.
impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}
