//! Which of the servers an endpoint stands for.

use portcullis_mcp::ServerName;

/// Which of the configured servers a client's endpoint stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// All of them, merged; names carry the server's name in front (`/mcp`).
    All,
    /// One of them, with its own names (`/servers/NAME/mcp`).
    Server(ServerName),
}

impl Route {
    /// The path of the endpoint's URL.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::All => "/mcp".to_owned(),
            Self::Server(name) => format!("/servers/{name}/mcp"),
        }
    }

    /// The route that a URL's path names, if it names one.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if path == "/mcp" {
            return Some(Self::All);
        }
        let name = path.strip_prefix("/servers/")?.strip_suffix("/mcp")?;
        name.parse().ok().map(Self::Server)
    }
}
