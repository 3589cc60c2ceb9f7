//! Where a client may go.

use std::net::IpAddr;

use crate::address::{is_loopback, is_metadata, is_public};
use crate::error::Refusal;

/// How far a client reaches: who wrote the address it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The operator, in the configuration: any address, also of this host and of private networks.
    /// Link-local addresses and metadata services only if the operator wrote the address itself,
    /// since a name may come to mean something else.
    Configured,
    /// A peer: only addresses that are reachable from everywhere.
    Public,
}

/// What has to hold of every address before one is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) reach: Reach,
    /// The address was written as such, not as a name.
    pub(crate) literal: bool,
    /// The request would go out unencrypted, and may so only to this host.
    pub(crate) loopback_only: bool,
}

impl Check {
    pub(crate) fn check(self, address: IpAddr) -> Result<(), Refusal> {
        match self.reach {
            Reach::Public if !is_public(address) => Err(Refusal::NotPublic),
            Reach::Configured if !self.literal && is_metadata(address) => Err(Refusal::LinkLocal),
            Reach::Public | Reach::Configured if self.loopback_only && !is_loopback(address) => {
                Err(Refusal::Unencrypted)
            }
            Reach::Public | Reach::Configured => Ok(()),
        }
    }
}
