//! Measures what policies cost: a decision, the list of a hundred tools and a reload, with a thousand
//! policies over a hundred tools. Times are processor time of the measuring thread (Linux).
//!
//! `cargo run --release -p portcullis-policy --example decide`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use portcullis_mcp::ServerName;
use portcullis_policy::{
    ActionRef, Hints, History, Policies, PolicyFile, Preset, Query, ServerShape, ToolShape, Who,
};
use serde_json::json;

const TOOLS: usize = 100;
const POLICIES: usize = 1000;
const BATCHES: usize = 9;
/// The clock counts by the tick, so a batch has to last many of them.
const BATCH: usize = 50_000;

/// Processor time of this thread so far, in nanoseconds.
fn cpu_ns() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

fn server() -> Result<ServerShape, Box<dyn Error>> {
    let schema = json!({"type": "object", "required": ["path"], "properties": {
        "path": {"type": "string"}, "mode": {"enum": ["read", "write"]}, "size": {"type": "integer"},
        "content": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
    }});
    let schema: Arc<[u8]> = Arc::from(schema.to_string().into_bytes());
    let tool = |n: usize| ToolShape {
        name: format!("tool{n}").into(),
        input_schema: Arc::clone(&schema),
        annotations: Hints::default(),
        classes: vec!["files".to_owned()],
        labels: Vec::new(),
    };
    Ok(ServerShape {
        name: "files".parse()?,
        tools: (0..TOOLS).map(tool).collect(),
        prompts: None,
    })
}

/// Ten policies for each tool: of groups and of all, with conditions on arguments and without.
fn file() -> Result<PolicyFile, Box<dyn Error>> {
    let mut text = String::new();
    for n in 0..POLICIES {
        let tool = n % TOOLS;
        let (effect, principal, condition) = match n / TOOLS {
            0 => ("permit", "principal in Group::\"staff\"".to_owned(), ""),
            1 => (
                "forbid",
                "principal".to_owned(),
                "when { context.arguments.path like \"/etc/*\" }",
            ),
            2 => (
                "forbid",
                "principal".to_owned(),
                "when { context.history.calls > 1000 }",
            ),
            3 => (
                "forbid",
                "principal".to_owned(),
                "when { context.labels.contains(\"secret\") && resource.openWorld }",
            ),
            4 => (
                "permit",
                "principal in Group::\"staff\"".to_owned(),
                "when { context.arguments has mode && context.arguments.mode == \"read\" }",
            ),
            5 => (
                "forbid",
                "principal".to_owned(),
                "when { resource.destructive && resource.classes.contains(\"mail\") } unless { context.approved }",
            ),
            6 => (
                "permit",
                "principal in Group::\"admins\"".to_owned(),
                "when { context.approved }",
            ),
            other => (
                "permit",
                format!("principal == User::\"user{other}\""),
                "when { context.kind == \"account\" }",
            ),
        };
        writeln!(
            text,
            "@id(\"p{n}\") {effect}({principal}, action == Action::\"files/tool{tool}\", resource) {condition};"
        )?;
    }
    Ok(PolicyFile {
        name: "many.cedar".into(),
        text: text.into(),
    })
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The median of batches of decisions on calls of all tools, in nanoseconds, and how many were allowed.
fn decisions(
    policies: &Policies,
    who: Who<'_>,
    arguments: &serde_json::Value,
) -> Result<(u64, usize), Box<dyn Error>> {
    let name: ServerName = "files".parse()?;
    let tools = tools();
    let mut times = Vec::new();
    let mut allowed = 0_usize;
    for _ in 0..BATCHES {
        let started = cpu_ns()?;
        for round in 0..BATCH {
            let query = Query {
                who,
                server: &name,
                action: ActionRef::CallTool(tools.get(round % TOOLS).ok_or("a tool")?),
                arguments: Some(arguments),
                labels: &[],
                history: History::default(),
                now_ms: 1_790_000_000_000,
                approved: false,
            };
            allowed += usize::from(black_box(policies.decide(&query)).is_allow());
        }
        times.push(cpu_ns()?.saturating_sub(started) / BATCH as u64);
    }
    Ok((median(times), allowed))
}

fn tools() -> Vec<String> {
    (0..TOOLS).map(|n| format!("tool{n}")).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let shape = server()?;
    let compile = |file: &PolicyFile| {
        let compiled = Policies::compile(
            std::slice::from_ref(file),
            std::slice::from_ref(&shape),
            &[],
            None,
        );
        let compiled = compiled.map_err(|mistakes| format!("{mistakes:?}"));
        compiled.map(|compiled| compiled.policies)
    };
    let file = file()?;
    let mut reloads = Vec::new();
    for _ in 0..9 {
        let started = cpu_ns()?;
        black_box(compile(&file)?);
        reloads.push(cpu_ns()?.saturating_sub(started) / 1000);
    }
    let median_us = median(reloads);
    println!("reload of {POLICIES} policies: median {median_us} us of CPU");
    let who = Who {
        name: "alice",
        kind: "account",
        client: "desk",
        groups: &["staff", "berlin", "on-call"],
        scopes: &["files:read"],
    };
    let policies = compile(&file)?;
    let name: ServerName = "files".parse()?;
    for what in ["first", "next"] {
        let started = cpu_ns()?;
        let tools = tools();
        let offered = tools
            .iter()
            .filter(|tool| policies.is_offered(&who, &name, tool));
        let offered = offered.count();
        let spent_us = cpu_ns()?.saturating_sub(started) / 1000;
        println!("{what} list of {TOOLS} tools: {offered} offered, {spent_us} us of CPU");
    }
    let short = json!({"path": "/home/alice/notes", "mode": "read"});
    let long = json!({"path": "/home/alice/notes", "content": "x".repeat(64 * 1024)});
    for (what, arguments) in [
        ("short arguments", &short),
        ("64 KiB that no policy names", &long),
    ] {
        let (median, allowed) = decisions(&policies, who, arguments)?;
        println!("decision, {what}: median {median} ns of CPU, {allowed} allowed");
    }
    for preset in Preset::ALL {
        let policies = compile(&preset.file())?;
        let (median, allowed) = decisions(&policies, who, &short)?;
        let name = preset.name();
        println!("decision by `{name}`: median {median} ns of CPU, {allowed} allowed");
    }
    Ok(())
}
