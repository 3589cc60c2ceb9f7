//! A gateway reduced to one thing: it runs the program in its arguments under a guard, says its
//! process id, and waits for it.
//!
//! Before the program may stand `--tier full|confined|external|off`, and `--read`, `--write`,
//! `--hide`, `--env NAME=VALUE`, `--memory BYTES`, `--processes COUNT`, `--files COUNT`,
//! `--file-bytes BYTES`, `--scratch BYTES`,
//! `--guarded`, `--local-sockets`, `--report` and `--quiet`. An
//! argument `gateway=self` of the program gets this process's id.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use portcullis_sandbox::{Command, Confinement, Network, Sandbox, Tier, guard_main};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let this = args.next().unwrap_or_default();
    let mut args = args.peekable();
    // Before anything else: a guard has no runtime.
    if args.next_if(|arg| arg == "__guard").is_some() {
        return guard_main(args);
    }
    let args: Vec<String> = args.filter_map(|arg| arg.into_string().ok()).collect();
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(host(this, args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "{error}").ok();
            let mut cause = error.source();
            while let Some(error) = cause {
                writeln!(std::io::stderr(), "because: {error}").ok();
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn host(this: OsString, args: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let mut args = args.into_iter();
    let mut confinement = Confinement::new(Tier::Off);
    let mut env = Vec::new();
    let (mut is_quiet, mut is_reported) = (false, false);
    let program = loop {
        let arg = args.next().ok_or("a program is needed")?;
        let mut value = || args.next().ok_or("an option needs a value");
        match arg.as_str() {
            "--tier" => {
                confinement.tier = match value()?.as_str() {
                    "full" => Tier::Full,
                    "confined" => Tier::Confined,
                    "external" => Tier::External,
                    _ => Tier::Off,
                }
            }
            "--read" => confinement.reads.push(value()?.into()),
            "--write" => confinement.writes.push(value()?.into()),
            "--hide" => confinement.hidden.push(value()?.into()),
            "--memory" => confinement.limits.memory_bytes = value()?.parse()?,
            "--processes" => confinement.limits.processes = value()?.parse()?,
            "--files" => confinement.limits.open_files = value()?.parse()?,
            "--file-bytes" => confinement.limits.file_bytes = value()?.parse()?,
            "--scratch" => confinement.limits.scratch_bytes = value()?.parse()?,
            "--env" => {
                let variable = value()?;
                let (name, value) = variable.split_once('=').ok_or("NAME=VALUE")?;
                env.push((name.to_owned(), value.to_owned()));
            }
            "--local-sockets" => confinement.local_sockets = true,
            "--guarded" => confinement.network = Network::Guarded,
            "--report" => is_reported = true,
            "--quiet" => is_quiet = true,
            _ => break arg,
        }
    };
    let command = Command {
        program,
        args: args
            .map(|arg| match arg.as_str() {
                "gateway=self" => format!("gateway={}", std::process::id()),
                _ => arg,
            })
            .collect(),
        env,
        cwd: None,
    };
    let sandbox = Sandbox::new(vec![this, "__guard".into()]);
    let mut child = sandbox.spawn_confined(&command, &confinement).await?;
    let mut stdout = std::io::stdout();
    if !is_quiet {
        writeln!(stdout, "{}", child.id())?;
    }
    if is_reported {
        for part in &child.report().parts {
            writeln!(stdout, "{}: {:?}", part.feature, part.got)?;
        }
    }
    let errors = child.stderr.take();
    let errors = tokio::spawn(async move {
        if let Some(mut errors) = errors {
            tokio::io::copy(&mut errors, &mut tokio::io::stderr())
                .await
                .ok();
        }
    });
    if let Some(mut output) = child.stdout.take() {
        tokio::io::copy(&mut output, &mut tokio::io::stdout()).await?;
    }
    errors.await?;
    let exit = child.wait().await?;
    if !is_quiet {
        writeln!(stdout, "{exit}")?;
    }
    Ok(())
}
