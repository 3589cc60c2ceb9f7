//! From what the server wishes to a connection that may be had, and for how long.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Shared;
use super::allowance::{Permit, Wish};
use super::meter::{Metered, Tally};
use super::reason::Reason;
use crate::connect::Located;
use crate::error::EgressError;

/// For resolving and for dialling.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection outlives the last call that it was allowed for, so that what a tool had
/// already got under way comes to its end.
const GRACE: Duration = Duration::from_secs(5);

/// How long a connection is kept on which nothing moves.
const IDLE: Duration = Duration::from_mins(15);

/// An allowed wish whose host was resolved, every address of it being one that the rule extends to.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) wish: Wish,
    pub(crate) permit: Permit,
    located: Located,
}

/// A connection to the outside.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) io: Metered<TcpStream>,
    peer: IpAddr,
}

impl Shared {
    /// Whether the allowance in force has `wish` now.
    pub(crate) fn judge(&self, wish: &Wish) -> Result<Permit, Reason> {
        let allowance = Arc::clone(&self.allowance.borrow());
        allowance.decide(wish, &self.in_flight.watch().borrow())
    }

    /// Judges `wish`, and resolves its host if it is allowed.
    pub(crate) async fn route(&self, wish: Wish) -> Result<Route, Reason> {
        let permit = self.judge(&wish)?;
        let finding = Located::find(&self.resolver, &wish.host, permit.check);
        let located = tokio::time::timeout(CONNECT_TIMEOUT, finding)
            .await
            .map_err(|_elapsed| Reason::Unresolved)?
            .map_err(|error| reason_of(&error))?;
        Ok(Route {
            wish,
            permit,
            located,
        })
    }

    /// Why a connection for `wish` to `peer` may not go on; [`Permit`]s of another protocol are for
    /// another connection.
    fn still(&self, route: &Route, peer: IpAddr) -> Result<(), Reason> {
        let permit = self.judge(&route.wish)?;
        if permit.protocol != route.permit.protocol {
            return Err(Reason::Protocol);
        }
        permit.check.check(peer).map_err(Reason::Address)
    }

    /// Is done when the connection may not go on, or nothing moved on it for long.
    pub(crate) async fn withdrawn(&self, route: &Route, peer: IpAddr, tally: &Tally) -> Reason {
        let mut allowance = self.allowance.subscribe();
        let mut calls = self.in_flight.watch();
        let mut cut_at: Option<Instant> = None;
        let mut moved = (tally.bytes_out(), tally.bytes_in());
        let mut idle_at = Instant::now() + IDLE;
        loop {
            match self.still(route, peer) {
                Ok(()) => cut_at = None,
                Err(Reason::NoCall) => {
                    // However many other calls begin and end meanwhile.
                    let at = *cut_at.get_or_insert_with(|| Instant::now() + GRACE);
                    if Instant::now() >= at {
                        return Reason::CallEnded;
                    }
                }
                Err(_not_any_more) => return Reason::Withdrawn,
            }
            let next = cut_at.map_or(idle_at, |at| at.min(idle_at));
            // The senders are part of `self`, so that `changed` does not fail while this waits.
            tokio::select! {
                _changed = allowance.changed() => {}
                _changed = calls.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            if Instant::now() >= idle_at {
                let now = (tally.bytes_out(), tally.bytes_in());
                if now == moved {
                    return Reason::Idle;
                }
                moved = now;
                idle_at = Instant::now() + IDLE;
            }
        }
    }

    /// Dials what was resolved, if it is still allowed: the server may have taken its time since.
    pub(crate) async fn dial(&self, route: &Route, tally: &Arc<Tally>) -> Result<Outside, Reason> {
        self.judge(&route.wish)?;
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, route.located.dial(route.wish.port))
            .await
            .map_err(|_elapsed| Reason::Unreachable)?
            .map_err(|error| reason_of(&error))?;
        let peer = tcp.peer_addr();
        let peer = peer.map_err(|_gone| Reason::Unreachable)?.ip();
        let caps = *self.allowance.borrow().caps();
        let io = Metered::new(tcp, caps, Arc::clone(tally), Arc::clone(&self.meter));
        Ok(Outside { io, peer })
    }
}

impl Outside {
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }
}

fn reason_of(error: &EgressError) -> Reason {
    match error {
        EgressError::Refused { refusal, .. } => Reason::Address(*refusal),
        EgressError::Resolve { .. } => Reason::Unresolved,
        EgressError::Connect { .. } | EgressError::Timeout { .. } => Reason::Unreachable,
        EgressError::Address | EgressError::Host(_) => Reason::NotCanonical,
        EgressError::Tls { .. } | EgressError::Exchange { .. } => Reason::Broken,
    }
}
