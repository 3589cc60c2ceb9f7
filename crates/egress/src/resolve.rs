//! Names to addresses.

mod name_servers;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use name_servers::{NameServers, NameServersError};

/// Who says what address a name has.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The system's resolver, with its hosts file.
    #[default]
    System,
    /// Name servers that the operator named, and nothing else.
    NameServers(NameServers),
    /// A function, for a fixed set of names.
    Function(Addresses),
}

/// The addresses of a name; none if it does not exist.
pub type Addresses = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

impl Resolver {
    /// The name servers at these addresses, or the system's resolver if there are none.
    pub fn by(name_servers: &[SocketAddr]) -> Result<Self, NameServersError> {
        if name_servers.is_empty() {
            return Ok(Self::System);
        }
        NameServers::new(name_servers).map(Self::NameServers)
    }

    /// Every address of `name`; never none.
    pub(crate) async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses: Vec<IpAddr> = match self {
            // The port is only asked for because the function wants one.
            Self::System => tokio::net::lookup_host((name, 0))
                .await?
                .map(|address| address.ip())
                .collect(),
            Self::NameServers(servers) => servers.resolve(name).await?,
            Self::Function(function) => function(name),
        };
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(addresses)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::NameServers(_) => "NameServers",
            Self::Function(_) => "Function",
        })
    }
}
