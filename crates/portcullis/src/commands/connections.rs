//! `portcullis connections`: what confined servers reached over the network, and what they did not.

use std::process::ExitCode;

use portcullis_store::{ConnectionFilter, ConnectionRecord, Store};
use serde_json::json;

use super::list::{Table, time};
use super::store::Place;
use crate::cli::confine::Connections;
use crate::environment::Environment;
use crate::{clock, output};

/// Prints the connections that `args` ask for, newest first.
pub(crate) fn run(args: &Connections, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    place.run(async |store| print(store, args).await)
}

async fn print(store: &Store, args: &Connections) -> anyhow::Result<()> {
    let now_ms = clock::now_ms();
    let filter = ConnectionFilter {
        server: args.server.clone(),
        verdict: args.verdict.clone(),
        since_ms: args.since.map(|moment| moment.before(now_ms)),
        rows_max: args.limit,
    };
    let found = store.connections().find(filter).await?;
    if args.listing.json {
        let found: Vec<_> = found.iter().map(object).collect();
        return Ok(output::print_json(&json!({ "connections": found }))?);
    }
    let mut table = Table::new([
        "TIME", "SERVER", "TOOL", "HOST", "BY", "OUT", "IN", "VERDICT", "WHY",
    ]);
    for row in found {
        let port = row.port.map(|port| format!(":{port}"));
        table.row([
            time(row.started_ms),
            row.server,
            row.tool.unwrap_or_default(),
            row.host.unwrap_or_default() + &port.unwrap_or_default(),
            row.kind,
            row.bytes_out.to_string(),
            row.bytes_in.to_string(),
            row.verdict,
            row.reason.unwrap_or_default(),
        ]);
    }
    Ok(table.print("no such connections\n")?)
}

fn object(row: &ConnectionRecord) -> serde_json::Value {
    json!({
        "started_ms": row.started_ms,
        "duration_ms": row.duration_ms,
        "server": row.server,
        "tool": row.tool,
        "host": row.host,
        "port": row.port,
        "kind": row.kind,
        "method": row.method,
        "bytes_out": row.bytes_out,
        "bytes_in": row.bytes_in,
        "verdict": row.verdict,
        "reason": row.reason,
    })
}
