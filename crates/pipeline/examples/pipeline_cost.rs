//! Measures what a check costs: a tool call of 250 bytes without its record, with it, and its result.
//! Times are processor time of the measuring thread (Linux), so that other load matters little.
//!
//! `cargo run --release -p portcullis-pipeline --example pipeline_cost`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::Era;
use portcullis_pipeline::permissions::{self, Permissions, ServerRules};
use portcullis_pipeline::{
    Completion, Outcome, Pipeline, Principal, PrincipalKind, Request, RequestId, Settings,
    Timestamp, ToolDefinition,
};
use portcullis_policy::PolicyFile;
use portcullis_store::Store;

const TOOL: &str = r#"{"name":"search_issues","inputSchema":{"type":"object","properties":{
"query":{"type":"string","minLength":1,"maxLength":256},"repo":{"type":"string","pattern":"^[\\w.-]+/[\\w.-]+$"},
"state":{"type":"string","enum":["open","closed","all"]},"labels":{"type":"array","items":{"type":"string"},"maxItems":20},
"limit":{"type":"integer","minimum":1,"maximum":100},"sort":{"anyOf":[{"type":"string"},{"type":"null"}]}},
"required":["query","repo"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"},
"outputSchema":{"type":"object","properties":{"total":{"type":"integer"},"titles":{"type":"array","items":{"type":"string"}}},"required":["total"]}}"#;

const PARAMS: &str = r#"{"name":"search_issues","arguments":{"query":"panic when the upstream closes the stream early","repo":"octo-org/octo-repo","state":"open","labels":["bug","p1","needs-triage"],"limit":25,"sort":null},"_meta":{"progressToken":"abc-123"}}"#;

const RESULT: &str = r#"{"content":[{"type":"text","text":"12 issues found, the first of which is older than the rest"}],"structuredContent":{"total":12,"titles":["one","two","three"]},"resultType":"complete"}"#;

fn request(
    tool: &Arc<ToolDefinition>,
    principal: &Principal,
    number: u128,
) -> Result<Request, Box<dyn Error>> {
    Ok(Request {
        id: RequestId::new(Timestamp(1_790_000_000_000), number),
        at: Timestamp(1_790_000_000_000),
        principal: principal.clone(),
        client: Some("claude-code".into()),
        server: "github".parse()?,
        method: "tools/call".into(),
        target: Some("search_issues".into()),
        params: Some(Bytes::from_static(PARAMS.as_bytes())),
        tool: Some(Arc::clone(tool)),
        era_client: Era::Modern,
        era_server: Era::Legacy,
    })
}

/// The permission model that permits everything.
fn permissive() -> Result<Permissions, Box<dyn Error>> {
    let policy = PolicyFile {
        name: "all".into(),
        text: "permit (principal, action, resource);".into(),
    };
    let settings = permissions::Settings {
        files: vec![policy],
        servers: [("github".parse()?, ServerRules::default())].into(),
        ..permissions::Settings::default()
    };
    Ok(Permissions::build(settings, Arc::default())?)
}

/// Processor time of this thread so far, in nanoseconds.
fn cpu_ns() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

/// Processor time of each of `count` rounds since `started`.
fn each(started: u64, count: u32) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::from_nanos(cpu_ns()?.saturating_sub(started))
        .checked_div(count)
        .unwrap_or_default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let started = cpu_ns()?;
    let tool = Arc::new(ToolDefinition::compile(Bytes::from_static(
        TOOL.as_bytes(),
    ))?);
    println!("definition read in {:?}", each(started, 1)?);
    let started = cpu_ns()?;
    let validator = tool.input().map_err(Clone::clone)?;
    println!("input schema compiled in {:?}", each(started, 1)?);

    let arguments = portcullis_mcp::Object::parse(PARAMS.as_bytes())
        .and_then(|params| params.get("arguments").map(<[u8]>::to_vec))
        .unwrap_or_default();
    let rounds = 200_000;
    for _ in 0..3 {
        let started = cpu_ns()?;
        for _ in 0..rounds {
            black_box(validator.validate(black_box(&arguments)).is_ok());
        }
        println!(
            "validate {} bytes of arguments: {:?}",
            arguments.len(),
            each(started, rounds)?
        );
    }

    let folder = tempfile::tempdir()?;
    let store = Store::open(
        &folder.path().join("db"),
        portcullis_store::Settings::default(),
    )?;
    let pipeline = Pipeline::new(Settings::default(), permissive()?, store.clone());
    let principal = Principal::new("ada", PrincipalKind::Token);
    let (authorized, ticket) = pipeline
        .check_request(request(&tool, &principal, 0)?)
        .await?;
    let result = Bytes::from_static(RESULT.as_bytes());
    let started = cpu_ns()?;
    for _ in 0..rounds {
        black_box(
            pipeline
                .check_result(&authorized, &ticket, black_box(result.clone()))
                .await
                .is_ok(),
        );
    }
    println!(
        "check_result of {} bytes: {:?}",
        result.len(),
        each(started, rounds)?
    );
    let completion = Completion {
        outcome: Outcome::Ok,
        at: Timestamp(1_790_000_000_005),
        duration: Duration::from_micros(900),
        error_code: None,
        result_bytes: Some(result.len()),
    };
    ticket.finish(completion);

    // A closed store ends the record at once: what is left is everything but the record.
    let closed = Store::open(
        &folder.path().join("closed"),
        portcullis_store::Settings::default(),
    )?;
    closed.close().await;
    let unrecorded = Pipeline::new(Settings::default(), permissive()?, closed);
    let started = cpu_ns()?;
    for number in 0..rounds {
        let request = request(&tool, &principal, u128::from(number))?;
        black_box(unrecorded.check_request(request).await.is_ok());
    }
    println!(
        "check_request without its record: {:?}",
        each(started, rounds)?
    );

    let rounds = 20_000;
    let started = cpu_ns()?;
    for number in 0..rounds {
        let (request, ticket) = pipeline
            .check_request(request(&tool, &principal, u128::from(number))?)
            .await?;
        black_box(&request);
        ticket.finish(completion);
    }
    println!(
        "check_request with its record, one at a time, this thread alone: {:?}",
        each(started, rounds)?
    );
    store.close().await;
    Ok(())
}
