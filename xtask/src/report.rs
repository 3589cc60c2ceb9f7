//! Runs steps, shows what failed, and sums up.

use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::Log;
use crate::step::{Outcome, Step};
use crate::workspace::Workspace;

/// Lines of a failed step's log that are shown; the rest is in its file.
const LINES_SHOWN_MAX: usize = 300;

/// How one step ended.
pub(crate) struct Finished {
    name: String,
    time: Duration,
    outcome: Result<Outcome>,
}

/// Runs every step, whatever became of those before it.
pub(crate) fn run_all(workspace: &Workspace, steps: Vec<Step>) -> Result<Vec<Finished>> {
    let logs = workspace.target("xtask");
    fs::create_dir_all(&logs).with_context(|| format!("`{}` can't be made", logs.display()))?;

    let mut finished = Vec::with_capacity(steps.len());
    for step in steps {
        print!("{:<28} ", step.name);
        io::stdout().flush()?;
        let mut log = Log::create(logs.join(format!("{}.log", step.name)))?;
        let began = Instant::now();
        let outcome = (step.work)(workspace, &mut log);
        let time = began.elapsed();
        println!("{}", line(time, &outcome));
        if outcome.is_err() {
            show(&log)?;
        }
        finished.push(Finished {
            name: step.name,
            time,
            outcome,
        });
    }
    Ok(finished)
}

/// Prints the table and the count; whether nothing failed.
pub(crate) fn summarise(finished: &[Finished]) -> bool {
    println!("\nSummary");
    for one in finished {
        println!("{:<28} {}", one.name, line(one.time, &one.outcome));
    }
    let count =
        |is: fn(&Result<Outcome>) -> bool| finished.iter().filter(|one| is(&one.outcome)).count();
    let passed = count(|outcome| matches!(outcome, Ok(Outcome::Passed(_))));
    let skipped = count(|outcome| matches!(outcome, Ok(Outcome::Skipped(_))));
    let failed = count(Result::is_err);
    println!();
    if skipped == 0 {
        println!("{passed} passed, {failed} failed");
    } else {
        println!("{passed} passed, {failed} failed, {skipped} skipped");
    }
    failed == 0 && passed > 0
}

fn line(time: Duration, outcome: &Result<Outcome>) -> String {
    let (word, note) = match outcome {
        Ok(Outcome::Passed(note)) => ("passed ", note.clone()),
        Ok(Outcome::Skipped(why)) => ("skipped", why.clone()),
        Err(error) => ("FAILED ", format!("{error:#}")),
    };
    format!("{word} {:>7.1} s  {note}", time.as_secs_f64())
        .trim_end()
        .to_owned()
}

fn show(log: &Log) -> Result<()> {
    let text = log.text()?;
    let lines: Vec<&str> = text.lines().collect();
    let hidden = lines.len().saturating_sub(LINES_SHOWN_MAX);
    println!(
        "---- {} ({hidden} earlier lines are in it)",
        log.path().display()
    );
    for line in lines.into_iter().skip(hidden) {
        println!("    {line}");
    }
    println!("----");
    Ok(())
}
