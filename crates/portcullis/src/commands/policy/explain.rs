//! `portcullis policy explain`: why a call was, or would be, decided so.

use std::process::ExitCode;

use portcullis_pipeline::{Denial, Judgement};
use portcullis_policy::{Decision, DenyReason};
use portcullis_store::CallFilter;
use serde_json::json;

use super::ground::{Ground, Hypothesis, principal};
use super::replay::kept;
use crate::cli::policy::Explain;
use crate::commands::{No, WrongRequest};
use crate::output;

/// Explains the call that `args` name.
pub(super) async fn run(ground: &Ground, args: &Explain) -> anyhow::Result<ExitCode> {
    let hypothesis = match &args.request {
        Some(id) => recorded(ground, id).await?,
        None => imagined(args)?,
    };
    let judgement = ground.judge(&hypothesis).await?;
    let words = words(&judgement);
    if args.json {
        output::print_json(&json!({
            "decision": decision(&judgement),
            "code": code(&judgement),
            "policies": policies(&judgement),
            "why": words,
        }))?;
    } else {
        output::print_line(&words)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn imagined(args: &Explain) -> anyhow::Result<Hypothesis> {
    let (Some(server), Some(tool)) = (&args.server, &args.tool) else {
        return Err(WrongRequest("name a server and a tool".to_owned()).into());
    };
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&args.arguments).is_err()
    {
        let message = "`--arguments` is not a JSON object; write such as `{\"path\": \"/srv/a\"}`";
        return Err(WrongRequest(message.to_owned()).into());
    }
    let scopes = (!args.scopes.is_empty()).then_some(&*args.scopes);
    let client = args.client.as_deref();
    let principal = principal(&args.principal, &args.kind, client, &args.groups, scopes)?;
    let arguments = args.arguments.as_bytes();
    Ok(Hypothesis::call(principal, server.clone(), tool, arguments))
}

async fn recorded(ground: &Ground, id: &str) -> anyhow::Result<Hypothesis> {
    let filter = CallFilter {
        request_id: Some(id.to_owned()),
        ..CallFilter::default()
    };
    let rows = ground.store.calls().search(filter).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(No(format!("there is no call `{id}` in the record")).into());
    };
    let all = ground
        .store
        .calls()
        .kept(Some(row.server.clone()), row.started_ms, 1000)
        .await?;
    let found = all.into_iter().find(|(kept, _)| kept.id == row.id);
    let Some((row, bytes)) = found else {
        let message = format!(
            "the arguments of `{id}` were not kept; set `keep_arguments = true` in \
             `[policy.servers.{}]` for calls to come",
            row.server
        );
        return Err(No(message).into());
    };
    kept(&row, &bytes)
}

/// `allow`, `ask` or `deny`.
pub(super) fn decision(judgement: &Judgement) -> &'static str {
    match &judgement.decided {
        Ok(Decision::Allow(_)) => "allow",
        Ok(Decision::Ask { .. }) => "ask",
        Ok(Decision::Deny { .. }) | Err(_) => "deny",
    }
}

/// The code of a denial.
pub(super) fn code(judgement: &Judgement) -> Option<&'static str> {
    match &judgement.decided {
        Ok(Decision::Allow(_) | Decision::Ask { .. }) => None,
        Ok(Decision::Deny { reason, .. }) => Some(Denial::from(*reason).code()),
        Err(denial) => Some(denial.code()),
    }
}

/// The policies that determined it.
pub(super) fn policies(judgement: &Judgement) -> Vec<&str> {
    match &judgement.decided {
        Ok(decision) => decision
            .determined()
            .ids()
            .iter()
            .map(AsRef::as_ref)
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// The decision in words.
pub(super) fn words(judgement: &Judgement) -> String {
    let by = || {
        let ids = policies(judgement);
        let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        ids.join(", ")
    };
    match &judgement.decided {
        Ok(Decision::Allow(_)) => format!("allowed: permitted by {}", by()),
        Ok(Decision::Ask { reasons, .. }) => {
            let why = if reasons.is_empty() {
                String::new()
            } else {
                format!(" ({})", reasons.join("; "))
            };
            format!(
                "asked: a person has to approve first, because of {}{why}",
                by()
            )
        }
        Ok(Decision::Deny { reason, .. }) => match reason {
            DenyReason::NoPermit => "denied: no policy permits it".to_owned(),
            DenyReason::Forbidden => format!("denied: forbidden by {}", by()),
            DenyReason::Undecided => format!(
                "denied: it could not be decided, because of {}; a policy or a value in it cannot be \
                 evaluated, or definitions are not known",
                by()
            ),
        },
        Err(denial) => format!(
            "denied before policies are asked ({}): {}",
            denial.code(),
            denial.sentence()
        ),
    }
}
