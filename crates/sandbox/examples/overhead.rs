//! What confinement costs: the time from the start of `/bin/true` until it has ended and nothing is
//! left of it, bare and confined. Prints the median and the 95th percentile in milliseconds.
//!
//! Build it with optimisation for numbers that mean something; its argument is the count.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis_sandbox::{Command, Confinement, Network, Sandbox, Tier, guard_main};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let this = args.next().unwrap_or_default();
    let mut args = args.peekable();
    if args.next_if(|arg| arg == "__guard").is_some() {
        return guard_main(args);
    }
    let count = args
        .next()
        .and_then(|count| count.to_str()?.parse().ok())
        .unwrap_or(200);
    let sandbox = Sandbox::new(vec![this, "__guard".into()]);
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(measure(&sandbox, count)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "{error}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn measure(sandbox: &Sandbox, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let command = Command {
        program: "/bin/true".to_owned(),
        ..Command::default()
    };
    let guarded = Confinement {
        network: Network::Guarded,
        ..Confinement::default()
    };
    let cases = [
        ("off", Confinement::new(Tier::Off)),
        ("confined", Confinement::new(Tier::Confined)),
        ("full", Confinement::default()),
        ("full, guarded", guarded),
    ];
    let mut stdout = std::io::stdout();
    for (name, confinement) in cases {
        let mut times = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            let mut child = sandbox.spawn_confined(&command, &confinement).await?;
            child.wait().await?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
        };
        writeln!(stdout, "{name}: p50 {:.1} ms, p95 {:.1} ms", at(50), at(95))?;
    }
    Ok(())
}
