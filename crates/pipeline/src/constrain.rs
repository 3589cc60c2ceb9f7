//! Fourth check: do the arguments of a tool call keep to their constraints, wherever a host or a path in them leads?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_constraint::{Checked, ResolvedPath};
use portcullis_mcp::Object;
use serde_json::Value;

use crate::permissions::{HostCheck, Tool};
use crate::{Denial, Request};

/// Longer than a tick of the clock by which file systems date changes, in milliseconds.
const TICK_MS: u64 = 20;

/// What the check of a call's arguments gave.
#[derive(Debug, Default)]
pub(crate) struct Constrained {
    /// The params as they are to be sent, when they must differ.
    pub(crate) params: Option<Bytes>,
    /// The arguments as they are to be sent.
    pub(crate) arguments: Option<Value>,
    /// Where the paths among them lead.
    pub(crate) paths: Vec<ResolvedPath>,
}

/// The arguments of a request, of a tool call or for a prompt.
pub(crate) fn arguments(request: &Request) -> Result<Value, Denial> {
    let params = request.params.as_deref().and_then(Object::parse);
    let raw = params.as_ref().and_then(|params| params.get("arguments"));
    serde_json::from_slice(raw.unwrap_or(b"{}")).map_err(|_invalid| Denial::MalformedParams {
        member: "arguments",
    })
}

/// Checks the arguments of a call. Where nothing holds for them and `are_read` says that no policy reads them either, they are left
/// as they are.
pub(crate) async fn check(
    request: &Request,
    tool: &Tool,
    are_read: bool,
    host_check: Option<&HostCheck>,
) -> Result<Constrained, Denial> {
    let constraints = tool
        .constraints
        .as_ref()
        .map_err(|_invalid| Denial::UndecidedConstraint)?;
    if constraints.is_empty() && !are_read {
        return Ok(Constrained::default());
    }
    let arguments = arguments(request)?;
    let Checked {
        rewritten,
        hosts,
        paths,
    } = constraints
        .check(&arguments)
        .map_err(|violation| Denial::Constraint(Box::new(violation)))?;
    for host in hosts {
        let pointer: Arc<str> = (&*host.pointer).into();
        let may_be_reached = match host_check {
            Some(check) => check(host).await,
            None => false,
        };
        if !may_be_reached {
            return Err(Denial::AddressRefused { pointer });
        }
    }
    if paths
        .iter()
        .any(|path| path.changed_since(request.at.0.saturating_sub(TICK_MS)))
    {
        // What changed just now may change back unnoticed within the same tick.
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        if !paths.iter().all(ResolvedPath::still_leads_there) {
            return Err(Denial::PathMoved);
        }
    }
    let Some(rewritten) = rewritten else {
        return Ok(Constrained {
            params: None,
            arguments: Some(arguments),
            paths,
        });
    };
    let params = request.params.as_deref().and_then(Object::parse);
    let mut params = params.unwrap_or_default();
    params.set("arguments", rewritten.to_string().into_bytes());
    Ok(Constrained {
        params: Some(params.to_vec().into()),
        arguments: Some(rewritten),
        paths,
    })
}
