//! `portcullis events`: the record of authentication events.

use std::fmt::Write as _;
use std::process::ExitCode;

use portcullis_store::{AuthEventFilter, AuthEventKind, AuthEventRow, Store};
use serde_json::json;

use super::list::{harmless, time};
use super::store::Place;
use crate::cli::admin::Events;
use crate::environment::Environment;
use crate::{clock, output};

/// Prints the events that `args` ask for, newest first.
pub(crate) fn run(args: &Events, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    place.run(async |store| print(store, args).await)
}

async fn print(store: &Store, args: &Events) -> anyhow::Result<()> {
    let now_ms = clock::now_ms();
    let filter = AuthEventFilter {
        kind: args.kind.as_deref().and_then(AuthEventKind::parse),
        before: None,
        since_ms: args.since.map(|moment| moment.before(now_ms)),
        rows_max: args.limit,
    };
    let events = store.auth_events().find(filter).await?;
    if args.listing.json {
        let events: Vec<_> = events.iter().map(object).collect();
        return Ok(output::print_json(&json!({ "events": events }))?);
    }
    if events.is_empty() {
        output::tell("no such events\n");
    }
    let mut text = String::new();
    for event in &events {
        line(&mut text, event)?;
    }
    Ok(output::print(&text)?)
}

fn object(event: &AuthEventRow) -> serde_json::Value {
    json!({
        "id": event.id,
        "at_ms": event.at_ms,
        "kind": event.kind,
        "outcome": event.outcome,
        "reason": event.reason,
        "principal": event.principal,
        "client": event.client,
        "issuer": event.issuer,
        "resource": event.resource,
        "scopes": event.scopes,
        "address": event.address,
        "correlation": event.correlation,
    })
}

fn line(out: &mut String, event: &AuthEventRow) -> std::fmt::Result {
    let AuthEventRow { kind, outcome, .. } = event;
    write!(out, "{} {kind} {outcome}", time(event.at_ms))?;
    for (name, value) in [
        ("reason", &event.reason),
        ("principal", &event.principal),
        ("client", &event.client),
        ("issuer", &event.issuer),
        ("resource", &event.resource),
        ("scopes", &event.scopes),
        ("address", &event.address),
        ("correlation", &event.correlation),
    ] {
        let Some(value) = value else { continue };
        let value = harmless(value);
        // A value cannot look like the next field.
        if value.contains([' ', '"', '=']) || value.is_empty() {
            write!(out, " {name}={value:?}")?;
        } else {
            write!(out, " {name}={value}")?;
        }
    }
    out.push('\n');
    Ok(())
}
