//! A local server that means harm: `hostile ATTEMPT [NAME=VALUE…]` makes one attempt to reach what
//! is not its own, and says `reached` (exit code 0) or `refused` (1). Without a sandbox the
//! attempts succeed; what would break the machine is asked for in a way that the kernel refuses
//! only after it has checked who asks.
//!
//! `hostile --list` names all attempts, and `hostile --mcp [NAME=VALUE…]` is an MCP server whose tool
//! `attempt` makes them. Nothing here runs for more than a few seconds.

mod bombs;
mod calls;
mod files;
mod mcp;
mod processes;
mod raw;
mod sockets;

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;

/// What came of an attempt; `Err` has the reason of the refusal.
type Outcome = Result<String, String>;

/// What the test has laid out, by name.
struct Stage(HashMap<String, String>);

/// One attempt.
struct Attempt {
    name: &'static str,
    run: fn(&Stage) -> Outcome,
}

impl Stage {
    /// A value, or nothing, which no attempt can reach.
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("/nowhere", String::as_str)
    }

    fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap_or(0)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    if name == "--mcp" {
        mcp::serve(&args.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let stage = Stage(
        args.filter_map(|arg| {
            let (name, value) = arg.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect(),
    );
    let attempts: Vec<&Attempt> = [
        files::ATTEMPTS,
        calls::ATTEMPTS,
        calls::OTHERS,
        calls::OF_MACHINE,
        sockets::ATTEMPTS,
        processes::ATTEMPTS,
        bombs::ATTEMPTS,
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut stdout = std::io::stdout();
    if name == "--list" {
        for attempt in attempts {
            writeln!(stdout, "{}", attempt.name).ok();
        }
        return ExitCode::SUCCESS;
    }
    let Some(attempt) = attempts.iter().find(|attempt| attempt.name == name) else {
        return ExitCode::from(2);
    };
    match (attempt.run)(&stage) {
        Ok(how) => {
            writeln!(stdout, "reached: {how}").ok();
            ExitCode::SUCCESS
        }
        Err(why) => {
            writeln!(stdout, "refused: {why}").ok();
            ExitCode::FAILURE
        }
    }
}
