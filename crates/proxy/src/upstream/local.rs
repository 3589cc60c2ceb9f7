//! What local servers are started by, and let out through.

use std::fmt;
use std::future::Future;

use portcullis_egress::{Allowance, Door, Egress, InFlight, Listeners, Recorder};
use portcullis_mcp::ServerName;
use portcullis_sandbox::{Child, Doors, Sandbox};

/// What local servers are started by, and let out through. A clone is the same.
#[derive(Clone)]
pub struct Local {
    /// Starts and confines them.
    pub sandbox: Sandbox,
    /// The way out, of confined servers as well.
    pub egress: Egress,
    /// The time of day, in milliseconds since 1970-01-01 UTC.
    pub now_ms: fn() -> u64,
    /// Takes the record of what a confined server reached.
    pub record: Recorder,
}

impl Local {
    /// Lets `child` out as `allowance` says, in the name of the server `name`, until `until` is done, and tells where its calls
    /// are to be told. `None` where the child has no doors.
    pub fn let_out(
        &self,
        name: &ServerName,
        child: &mut Child,
        allowance: &Allowance,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> Option<InFlight> {
        let listeners = listeners(child.doors.take()?);
        let allowance = allowance.clone();
        let record = self.record.clone();
        let door = self
            .egress
            .door(name.as_str(), allowance, self.now_ms, record);
        let in_flight = door.in_flight();
        let name = name.clone();
        tokio::spawn(serve(door, listeners, name, until));
        Some(in_flight)
    }
}

async fn serve(
    door: Door,
    listeners: Listeners,
    name: ServerName,
    until: impl Future<Output = ()> + Send,
) {
    if let Err(error) = door.serve(listeners, until).await {
        tracing::error!(server = %name, %error, "the server's way out cannot be used: it reaches nothing");
    }
}

fn listeners(doors: Doors) -> Listeners {
    let Doors {
        proxy,
        http,
        https,
        names_udp,
        names_tcp,
    } = doors;
    Listeners {
        proxy,
        http,
        https,
        names_udp,
        names_tcp,
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
