//! `portcullis approvals`: calls that wait for a person's yes.

use std::process::ExitCode;

use portcullis_store::{ApprovalRow, ApprovalState, Store};
use serde_json::json;

use super::No;
use super::list::{Table, harmless, time};
use super::store::Place;
use crate::cli::admin::{Approvals, ApprovalsAction, ApprovalsList};
use crate::environment::Environment;
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &Approvals, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    match &args.action {
        ApprovalsAction::List(listing) => place.run(async |store| list(store, listing).await),
        ApprovalsAction::Show { id } => place.run(async |store| show(store, id).await),
        ApprovalsAction::Allow { id } => {
            place.run(async |store| decide(store, id, true, environment).await)
        }
        ApprovalsAction::Deny { id } => {
            place.run(async |store| decide(store, id, false, environment).await)
        }
    }
}

async fn list(store: &Store, args: &ApprovalsList) -> anyhow::Result<()> {
    let now_ms = clock::now_ms();
    let open_at = (!args.all).then_some(now_ms);
    let rows = store.approvals().list(open_at).await?;
    if args.listing.json {
        let approvals: Vec<_> = rows.iter().map(|row| object(row, now_ms)).collect();
        return Ok(output::print_json(&json!({ "approvals": approvals }))?);
    }
    let mut table = Table::new(["ID", "STATE", "ASKED", "ENDS", "WHO", "SERVER", "TOOL"]);
    for row in rows {
        let state = state(&row, now_ms).to_owned();
        table.row([
            row.id,
            state,
            time(row.asked_ms),
            time(row.expires_ms),
            row.principal,
            row.server,
            row.tool,
        ]);
    }
    Ok(table.print("nothing waits for a person\n")?)
}

fn state(row: &ApprovalRow, now_ms: u64) -> &'static str {
    match row.state {
        ApprovalState::Open | ApprovalState::Approved if row.expires_ms <= now_ms => "expired",
        state => state.as_str(),
    }
}

fn object(row: &ApprovalRow, now_ms: u64) -> serde_json::Value {
    json!({
        "id": row.id,
        "state": state(row, now_ms),
        "principal": row.principal,
        "client": row.client,
        "server": row.server,
        "tool": row.tool,
        "arguments": serde_json::from_slice::<serde_json::Value>(&row.arguments).ok(),
        "reasons": row.reasons,
        "unusual": row.unusual,
        "request_id": row.request_id,
        "asked_ms": row.asked_ms,
        "expires_ms": row.expires_ms,
        "decided_ms": row.decided_ms,
        "decided_by": row.decided_by,
    })
}

async fn find(store: &Store, id: &str) -> anyhow::Result<ApprovalRow> {
    let row = store.approvals().get(id.to_owned()).await?;
    row.ok_or_else(|| {
        let message = format!(
            "nobody is asked about `{id}`; list what waits with `portcullis approvals list`"
        );
        No(message).into()
    })
}

async fn show(store: &Store, id: &str) -> anyhow::Result<()> {
    let row = find(store, id).await?;
    let shown = object(&row, clock::now_ms());
    let text = serde_json::to_string_pretty(&shown)?;
    let lines: Vec<String> = text.lines().map(harmless).collect();
    Ok(output::print_line(&lines.join("\n"))?)
}

async fn decide(
    store: &Store,
    id: &str,
    approved: bool,
    environment: &Environment,
) -> anyhow::Result<()> {
    let row = find(store, id).await?;
    let user = environment.get("USER").and_then(|user| user.to_str());
    let by = format!("{} by command", user.unwrap_or("administrator"));
    let now_ms = clock::now_ms();
    let approvals = store.approvals();
    if !approvals
        .decide(id.to_owned(), approved, by, now_ms)
        .await?
    {
        let state = state(&row, now_ms);
        let message = format!("`{id}` can no longer be answered: it is {state}");
        return Err(No(message).into());
    }
    let word = if approved {
        "may be made, once"
    } else {
        "is refused"
    };
    let (tool, server) = (harmless(&row.tool), &row.server);
    output::tell(&format!(
        "the call of `{tool}` of `{server}` by {} {word}\n",
        harmless(&row.principal)
    ));
    Ok(())
}
