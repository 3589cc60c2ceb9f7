//! `portcullis policy replay`: decides once more on calls that were kept in the record.

use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_pipeline::{Counts, Kept, Timestamp};
use portcullis_store::CallRow;
use serde_json::json;

use super::explain::{code, decision, words};
use super::ground::{Ground, Hypothesis, principal};
use crate::cli::policy::Replay;
use crate::commands::NO;
use crate::commands::list::{harmless, time};
use crate::{clock, output};

/// The most calls that are replayed; the oldest count.
pub(super) const CALLS_MAX: u32 = 1_000_000;
/// How much of a call's arguments is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Shows the decisions that would change.
pub(super) async fn run(ground: &Ground, args: &Replay) -> anyhow::Result<ExitCode> {
    let since = args
        .since
        .map_or(0, |moment| moment.before(clock::now_ms()));
    let server = args.server.as_ref().map(ToString::to_string);
    let rows = ground.store.calls().kept(server, since, CALLS_MAX).await?;
    let mut changes = Vec::new();
    for (row, bytes) in &rows {
        let hypothesis = kept(row, bytes)?;
        let judgement = ground.judge(&hypothesis).await?;
        let (was, becomes) = (was(row), decision(&judgement));
        if was == becomes {
            continue;
        }
        let arguments = hypothesis.arguments().unwrap_or_default();
        let arguments = String::from_utf8_lossy(arguments);
        if args.json {
            changes.push(json!({
                "request_id": row.request_id,
                "started_ms": row.started_ms,
                "principal": row.principal,
                "server": row.server,
                "method": row.method,
                "target": row.target,
                "arguments": arguments,
                "was": was,
                "becomes": becomes,
                "code": code(&judgement),
                "why": words(&judgement),
            }));
            continue;
        }
        let shown: String = arguments.chars().take(SHOWN_CHARS_MAX).collect();
        let target = row.target.as_deref().unwrap_or(&row.method);
        changes.push(json!(format!(
            "{} {} {} {}: {was} becomes {becomes}\n    {}\n    {}\n",
            time(row.started_ms),
            harmless(&row.principal),
            row.server,
            harmless(target),
            harmless(&shown),
            words(&judgement),
        )));
    }
    if args.json {
        output::print_json(&json!({ "calls": rows.len(), "changes": changes }))?;
    } else {
        let text: String = changes
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect();
        let (all, otherwise) = (rows.len(), changes.len());
        output::print(&format!(
            "{text}{all} calls, {otherwise} would be decided otherwise\n"
        ))?;
    }
    Ok(if changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    })
}

/// What was decided on a call: a denial that was only observed is one.
fn was(row: &CallRow) -> &'static str {
    match (row.decision.as_deref(), &row.denial_code) {
        (Some("allow"), _) => "allow",
        (Some("approved" | "ask"), _) => "ask",
        _ => "deny",
    }
}

/// A call as it was kept.
pub(super) fn kept(row: &CallRow, bytes: &[u8]) -> anyhow::Result<Hypothesis> {
    let kept: Kept = serde_json::from_slice(bytes)
        .with_context(|| format!("the call `{}` cannot be read back", row.request_id))?;
    // A request that had no params, which is as one whose params are empty.
    let params = Some(kept.params.get()).filter(|params| *params != "null");
    let params = params.unwrap_or("{}");
    let scopes = kept.scopes.as_deref();
    let client = row.oauth_client.as_deref();
    Ok(Hypothesis {
        principal: principal(&row.principal, &kept.kind, client, &kept.groups, scopes)?,
        server: row.server.parse()?,
        method: row.method.as_str().into(),
        target: row.target.as_deref().map(Into::into),
        params: params.as_bytes().to_vec(),
        counts: Counts {
            calls: kept.calls,
            calls_of_tool: kept.calls_of_tool,
            denials: kept.denials,
        },
        at: Timestamp(row.started_ms),
    })
}
