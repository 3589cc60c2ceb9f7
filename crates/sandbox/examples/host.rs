//! A gateway reduced to one thing: it runs the program in its arguments under a guard, with its own
//! environment's `PATH`, says its process id, and waits for it.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use portcullis_sandbox::{Command, Sandbox, guard_main};

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
            ExitCode::FAILURE
        }
    }
}

async fn host(this: OsString, args: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let mut args = args.into_iter();
    let command = Command {
        program: args.next().ok_or("a program is needed")?,
        args: args.collect(),
        ..Command::default()
    };
    let sandbox = Sandbox::new(vec![this, "__guard".into()]);
    let mut child = sandbox.spawn(&command).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", child.id())?;
    if let Some(mut output) = child.stdout.take() {
        tokio::io::copy(&mut output, &mut tokio::io::stdout()).await?;
    }
    writeln!(stdout, "{}", child.wait().await?)?;
    Ok(())
}
