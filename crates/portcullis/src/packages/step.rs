//! Runs one step of an install, confined to what it names.

use std::io;
use std::path::PathBuf;

use portcullis_egress::{Allowance, Caps, Rule, RuleError};
use portcullis_mcp::ServerName;
use portcullis_package::{Host, Step, StepOutput};
use portcullis_proxy::upstream::Local;
use portcullis_sandbox::{Command, Confinement, Exit, Limits, Network, Output, SpawnError, Tier};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

/// What is kept of each output.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// More than a server may use up: installers unpack into memory, and open many files.
const LIMITS: Limits = Limits {
    memory_bytes: 4 << 30,
    processes: 512,
    open_files: 4096,
    file_bytes: 2 << 30,
    cpu_seconds: None,
    scratch_bytes: 1 << 30,
};

/// A step that could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// It was not started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A registry with a name that connections cannot be checked by.
    #[error("the registry `{host}` cannot be let through")]
    Host {
        /// As the installer is configured.
        host: Host,
        /// Why.
        #[source]
        source: RuleError,
    },
    /// What it wrote could not be read.
    #[error("its output could not be read")]
    Output(#[source] io::Error),
}

/// Runs `step` in the name of the server `name`. `hidden` stays unseen.
pub(super) async fn run(
    local: &Local,
    name: &ServerName,
    hidden: &[PathBuf],
    step: &Step,
) -> Result<StepOutput, StepError> {
    let mut rules = Vec::new();
    for host in &step.hosts {
        let of_host = rules_for(host).map_err(|source| StepError::Host {
            host: host.clone(),
            source,
        })?;
        rules.extend(of_host);
    }
    let command = Command {
        program: step.program.to_string_lossy().into_owned(),
        args: step.args.clone(),
        env: step.env.clone(),
        cwd: Some(step.cwd.clone()),
    };
    let confinement = Confinement {
        reads: step.reads.clone(),
        writes: step.writes.clone(),
        hidden: hidden.to_vec(),
        network: if rules.is_empty() {
            Network::None
        } else {
            Network::Guarded
        },
        limits: LIMITS,
        ..Confinement::new(Tier::Full)
    };
    let mut child = local.sandbox.spawn_confined(&command, &confinement).await?;
    drop(child.stdin.take());
    let gone = CancellationToken::new();
    let allowance = Allowance::new(rules, Caps::default());
    local.let_out(name, &mut child, &allowance, gone.clone().cancelled_owned());
    let _closes_the_doors = gone.drop_guard();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, exit) =
        tokio::try_join!(collected(stdout), collected(stderr), child.wait())
            .map_err(StepError::Output)?;
    Ok(StepOutput {
        code: match exit {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) | Exit::Lost => None,
        },
        stdout,
        stderr,
    })
}

/// The beginning of what comes; the rest is read and let go, so that nobody waits for a reader.
async fn collected(output: Option<Output>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut output) = output {
        (&mut output)
            .take(OUTPUT_BYTES_MAX)
            .read_to_end(&mut kept)
            .await?;
        tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// What lets an installer through to a registry that its user configured, which may be one of a private network. A usual port
/// is spoken to as is usual.
fn rules_for(host: &Host) -> Result<Vec<Rule>, RuleError> {
    let schemes: &[&str] = match host.port {
        443 => &["https"],
        80 => &["http"],
        _ => &["https", "http"],
    };
    let rule = |scheme: &&str| {
        let rule: Rule = format!("{scheme}://{host}").parse()?;
        Ok(rule.private())
    };
    schemes.iter().map(rule).collect()
}
