//! The demonstration: two sample servers, one honest and one hostile; a client that does a small
//! task through the gateway and then attacks it, and the same servers without it; and a table of
//! what was seen to happen.

mod attacks;
mod client;
mod gateway;
mod honest;
mod hostile;
mod lenient;
mod naive_http;
mod server;
mod stage;
mod table;
mod task;

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

pub(crate) use server::main as server_main;

use crate::config::LogLevel;
use crate::environment::Environment;
use crate::shutdown::Ending;
use crate::{cli, commands, logging, output};
use attacks::{Row, Verdict};
use gateway::Gateway;
use stage::{Stage, VARIABLE};
use table::Style;
use task::Step;

/// The hidden command that runs a sample server.
pub(crate) const SERVER: &str = "__demo-server";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after the table instead of staying up.
    #[arg(long)]
    once: bool,
    /// Print each step and each attack as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Plays the demonstration.
///
/// The code is 0 when the task was done and every attack was stopped, and 1 otherwise.
pub(crate) fn run(
    args: &Args,
    log: &cli::Log,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    if environment.get(VARIABLE).is_none() {
        return begin_with_variable();
    }
    // The attacks fill a log with warnings, as they should: it is shown only when asked for.
    let filter = log.filter.as_deref().map(logging::filter);
    logging::start(&logging::Settings {
        format: log.format.unwrap_or_default(),
        filter: filter.unwrap_or_else(|| logging::filter_of(LogLevel::Off)),
        style: output::Style::of_stderr(environment),
    })?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let outcome = runtime.block_on(perform(args, environment));
    runtime.shutdown_background();
    outcome
}

/// Begins again as the same process with [`VARIABLE`] set, so that there is something in the
/// environment for a server to find.
fn begin_with_variable() -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let program = std::env::current_exe().context("this program cannot be found")?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the process becomes this program again; nothing is started beside it"
    )]
    let mut command = std::process::Command::new(program);
    let error = command
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "only-for-you")
        .exec();
    Err(error).context("this program could not begin again")
}

async fn perform(args: &Args, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut ending = Ending::listen().context("signals cannot be received")?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let stage = Stage::new(program).await?;
    let gateway = Gateway::start(&stage, environment).await?;
    stage.raise(gateway.front())?;
    let style = Style::of_stdout(environment);
    let played = tokio::select! {
        played = play(args, &stage, style) => Some(played?),
        _ = ending.next() => None,
    };
    if played.is_some() && !args.once {
        tell_how_to_connect(args, &gateway)?;
        ending.next().await;
    }
    gateway.end().await?;
    Ok(match played {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::from(1),
        None => ExitCode::from(commands::FAILED),
    })
}

/// Does the task and plays the attacks; whether all went as it should.
async fn play(args: &Args, stage: &Stage, style: Style) -> anyhow::Result<bool> {
    if !args.json {
        output::print_line("A small task, through the gateway:")?;
    }
    let steps = task::run(stage).await;
    for step in &steps {
        show_step(args, style, step)?;
    }
    let attacks = attacks::all();
    if !args.json {
        let count = attacks.len();
        let what = "attacks, each on a bare server and through the gateway:";
        output::print_line(&format!("\n{count} {what}"))?;
    }
    let mut rows = Vec::new();
    for attack in attacks {
        let row = attack.play(stage).await;
        if args.json {
            output::print_json(&row.json())?;
        }
        rows.push(row);
    }
    if !args.json {
        show_table(&rows, style)?;
    }
    Ok(steps.iter().all(|step| step.outcome.is_ok())
        && rows.iter().all(|row| row.verdict() == Verdict::Stopped))
}

fn show_step(args: &Args, style: Style, step: &Step) -> io::Result<()> {
    if args.json {
        return output::print_json(&step.json());
    }
    output::print_line(&match &step.outcome {
        Ok(said) => format!("  {}  {}: {said}", style.paint("32", "done  "), step.what),
        Err(why) => format!("  {}  {}: {why}", style.paint("1;31", "FAILED"), step.what),
    })
}

fn show_table(rows: &[Row], style: Style) -> anyhow::Result<()> {
    let mut text = Vec::new();
    table::write(&mut text, rows, style)?;
    table::summary(&mut text, rows, style)?;
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(())
}

fn tell_how_to_connect(args: &Args, gateway: &Gateway) -> io::Result<()> {
    let (url, token) = (gateway.url(), gateway.visitor());
    if args.json {
        return output::print_json(&json!({"event": "ready", "url": url, "token": token}));
    }
    output::print_line(&format!(
        "\nThe gateway stays up. Connect an MCP client to it, by Streamable HTTP:\n\n  \
         URL     {url}/mcp\n  Header  Authorization: Bearer {token}\n\n\
         Behind it are the two sample servers; {url}/servers/honest/mcp is the honest one alone.\n\
         Ctrl-C ends it."
    ))
}
