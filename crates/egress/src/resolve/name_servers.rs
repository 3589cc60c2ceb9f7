//! Name servers of the operator's choice (RFC 1035), asked over UDP and, where an answer is cut off, over TCP.
//!
//! Names are complete as they are written: no search list is tried, and no hosts file is read. An answer is kept as long as it
//! says itself, and at most an hour. `localhost` is this machine whatever anybody says (RFC 6761 §6.3).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// How long a server has for one answer. With the attempts, it fits in the time there is to connect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a question is repeated that nobody answered.
const RETRIES_MAX: usize = 1;

/// How many answers are kept.
const KEPT_MAX: u64 = 1024;

/// Longest that an address is kept, and that the absence of one is.
const KEPT: Duration = Duration::from_hours(1);
const ABSENCE_KEPT: Duration = Duration::from_mins(1);

/// Name servers. A clone shares what is kept.
#[derive(Clone)]
pub struct NameServers {
    resolver: Arc<TokioResolver>,
}

/// Why name servers cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the name servers cannot be used; check `egress.name_servers`")]
pub struct NameServersError(#[source] NetError);

impl NameServers {
    /// The servers at these addresses, in the order of preference.
    pub(super) fn new(addresses: &[SocketAddr]) -> Result<Self, NameServersError> {
        let servers = addresses.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        let options = builder.options_mut();
        options.ndots = 0;
        options.timeout = ANSWER_TIMEOUT;
        options.attempts = RETRIES_MAX;
        options.use_hosts_file = ResolveHosts::Never;
        // Both, since one bad answer of either spoils all.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = KEPT_MAX;
        options.positive_max_ttl = Some(KEPT);
        options.negative_max_ttl = Some(ABSENCE_KEPT);
        let resolver = builder.build().map_err(NameServersError)?;
        Ok(Self {
            resolver: Arc::new(resolver),
        })
    }

    /// Every address of `name`.
    pub(super) async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The dot at the end says that nothing is to be added.
        let lookup = self.resolver.lookup_ip(format!("{name}."));
        let found = lookup.await.map_err(io::Error::other)?;
        Ok(found.iter().collect())
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
