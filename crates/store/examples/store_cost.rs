//! Measures the processor time of begin and finish together, alone and with 16 in flight.
//!
//! `cargo run --release -p portcullis-store --example store_cost`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use portcullis_store::{CallEnd, CallStart, Outcome, Settings, Store};

fn start() -> CallStart {
    CallStart {
        request_id: "0190f3a5c0de70008000000000000000".into(),
        started_ms: 1_790_000_000_000,
        principal: Arc::from("ada"),
        client: Some("claude-code".into()),
        session: None,
        server: "files".into(),
        method: "tools/call".into(),
        target: Some("read_file".into()),
        era_client: "modern",
        era_server: "legacy",
        arguments_bytes: 250,
        arguments_sha256: Some([7; 32]),
        arguments: None,
        oauth_client: None,
        scopes: None,
        verdict: None,
    }
}

fn end() -> CallEnd {
    CallEnd {
        result_bytes: Some(1234),
        duration_us: Some(950),
        completed_ms: Some(1_790_000_000_001),
        ..CallEnd::bare(Outcome::Ok)
    }
}

/// Processor time of the whole process so far, in microseconds (Linux).
fn cpu_us() -> Result<u64, Box<dyn Error>> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .parse::<u64>()?;
    }
    Ok(total / 1000)
}

async fn calls(store: Store, count: u64) {
    for _ in 0..count {
        match store.calls().begin(start()).await {
            Ok(id) => store.calls().finish(id, end()),
            Err(error) => println!("{error}"),
        }
    }
}

async fn measure(in_flight: u64, total: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("db"), Settings::default())?;
    calls(store.clone(), 1000).await;
    let (cpu, wall) = (cpu_us()?, Instant::now());
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(calls(store.clone(), total / in_flight)))
        .collect();
    for task in tasks {
        task.await?;
    }
    store.calls().flush().await?;
    let per_call = |us: u64| us.checked_div(total / 100).unwrap_or(0);
    let (cpu, wall) = (
        per_call(cpu_us()? - cpu),
        per_call(u64::try_from(wall.elapsed().as_micros())?),
    );
    println!(
        "{in_flight:>4} in flight: {}.{:02} us CPU, {}.{:02} us wall a call",
        cpu / 100,
        cpu % 100,
        wall / 100,
        wall % 100
    );
    store.close().await;
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    for in_flight in [1, 4, 16, 64] {
        measure(in_flight, 64_000).await?;
    }
    Ok(())
}
