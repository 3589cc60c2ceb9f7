//! The work that the gateway must not be in the way of: a small honest task, in both eras.

use serde_json::{Value, json};

use super::client::{Endpoint, Post, modern_meta, result_text};
use super::honest::MENU;
use super::stage::{Server, Side, Stage, Who};

/// One step of the task.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What was done.
    pub(super) what: &'static str,
    /// What came of it, or why it failed.
    pub(super) outcome: Result<String, String>,
}

impl Step {
    /// The step as JSON.
    pub(super) fn json(&self) -> Value {
        let (done, text) = match &self.outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        json!({"task": self.what, "done": done, "said": text})
    }
}

/// Does the task through the gateway.
pub(super) async fn run(stage: &Stage) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |what, outcome: anyhow::Result<String>| {
        let outcome = outcome
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .map_err(|error| format!("{error:#}"));
        steps.push(Step { what, outcome });
    };
    step("list the tools (2026-07-28)", list(stage).await);
    step("add a note (2026-07-28)", add(stage).await);
    step(
        "read the notes (2025-11-25)",
        legacy(stage, "list_notes", json!({})).await,
    );
    step(
        "read a file (2026-07-28)",
        modern(stage, "read_file", json!({"path": "welcome.txt"})).await,
    );
    let page = json!({"url": MENU});
    step(
        "fetch a page (2025-11-25)",
        legacy(stage, "fetch_page", page).await,
    );
    steps
}

fn alice(stage: &Stage) -> anyhow::Result<Endpoint> {
    stage.endpoint(Who::Alice, Server::Honest)
}

async fn list(stage: &Stage) -> anyhow::Result<String> {
    let meta: Value = serde_json::from_str(&modern_meta())?;
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let reply = alice(stage)?
        .send(Post::modern(body.to_string(), "tools/list", ""))
        .await?;
    let tools = reply
        .answer()
        .and_then(|answer| answer.pointer("/result/tools")?.as_array().cloned());
    let names = tools.into_iter().flatten();
    let names = names.filter_map(|tool| Some(tool.get("name")?.as_str()?.to_owned()));
    let names = names.collect::<Vec<_>>();
    anyhow::ensure!(
        names.iter().any(|name| name == "add_note"),
        "HTTP {}: {}",
        reply.status,
        String::from_utf8_lossy(&reply.body),
    );
    Ok(names.join(", "))
}

async fn add(stage: &Stage) -> anyhow::Result<String> {
    let mark = stage.mark();
    let text = modern(
        stage,
        "add_note",
        json!({"text": format!("water the plants ({mark})")}),
    )
    .await?;
    anyhow::ensure!(stage.noted(Side::Gateway, &mark), "the note was not kept");
    Ok(text)
}

async fn modern(stage: &Stage, tool: &str, arguments: Value) -> anyhow::Result<String> {
    alice(stage)?.call(tool, &arguments).await?.text()
}

async fn legacy(stage: &Stage, tool: &str, arguments: Value) -> anyhow::Result<String> {
    let session = stage.session().await?;
    let reply = alice(stage)?.call_in(session, tool, &arguments).await?;
    reply.text()?;
    Ok(reply.answer().map(result_text).unwrap_or_default())
}
