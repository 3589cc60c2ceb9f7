//! Starts guards.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use crate::child::{Child, Started};
use crate::command::Command;
use crate::confine::confine;
use crate::confinement::{Confinement, Tier};
use crate::control::{Answer, Streams, receive_answer, send_plan};
use crate::doors::Doors;
use crate::guard::PROBE;
use crate::plan::Plan;
use crate::report::{Feature, Got, Missing, Part, Report};

/// How long a guard may take to answer. One that never does is not a guard.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts local servers, each under a guard of its own.
#[derive(Debug, Clone)]
pub struct Sandbox {
    guard: Arc<[OsString]>,
}

/// Why a local server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The name is on no directory of the `PATH`.
    #[error(
        "no program `{program}` on PATH `{path}`; install it, give its full path as `command`, or \
         set PATH in the server's `env`"
    )]
    NotFound {
        /// The name that was looked for.
        program: String,
        /// The `PATH` it was looked for on.
        path: String,
    },
    /// There is no file at the program's path.
    #[error("no program at `{}`; correct `command`", .0.display())]
    NoFile(PathBuf),
    /// The file may not be executed by the gateway's user.
    #[error("`{}` is not executable; run `chmod +x` on it, or correct `command`", .0.display())]
    NotExecutable(PathBuf),
    /// The working directory does not exist.
    #[error("no directory `{}`; correct `cwd`", .0.display())]
    Directory(PathBuf),
    /// A part of the command that the kernel has no way to express.
    #[error("an {0} of the command is empty, or holds a NUL byte or a misplaced `=`; correct it")]
    Invalid(&'static str),
    /// The kernel refused to execute the program.
    #[error(
        "`{program}` could not be executed; check its first line (`#!`), that it is built for this \
         machine, and the length of its arguments and environment"
    )]
    Exec {
        /// The path that was executed.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A part of the confinement could not be had, so the server was not started.
    #[error("the server was not started, for want of: {part}; {cause}; {remedy}")]
    Confinement {
        /// Which part.
        part: Feature,
        /// The likely cause.
        cause: String,
        /// What to do.
        remedy: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The guard did not start, or did not act as one.
    #[error(
        "the guard of a local server did not start; check that the gateway's binary can be executed"
    )]
    Guard(#[source] io::Error),
    /// No pipes or sockets left.
    #[error("the gateway is out of file descriptors or the like; raise its limits (`ulimit -n`)")]
    Resources(#[source] io::Error),
}

impl Sandbox {
    /// `guard` is the argv that runs [`guard_main`](crate::guard_main): the gateway's own binary
    /// and its hidden subcommand. It is executed with an empty environment.
    pub fn new(guard: Vec<OsString>) -> Self {
        Self {
            guard: guard.into(),
        }
    }

    /// Starts `command`, unconfined, and returns once it has been executed.
    ///
    /// To be called on a Tokio runtime, which the child must not outlive: it is killed when the
    /// runtime ends. Dropping the future kills what it has started.
    pub async fn spawn(&self, command: &Command) -> Result<Child, SpawnError> {
        self.spawn_confined(command, &Confinement::new(Tier::Off))
            .await
    }

    /// As [`Sandbox::spawn`], with `command` confined: all of `confinement` is in force before the
    /// program is executed, or it is not. What rests on which mechanism, and which limits of a
    /// whole server could only be set for each process, is in the child's [`Child::report`].
    ///
    /// In [`Tier::Full`] the child's `HOME` is an empty directory and `TMPDIR` is `/tmp`, both its
    /// own and gone with it. Programs may be executed from both, as package managers do. It starts in `HOME` if the command has no directory. With
    /// [`Network::Guarded`](crate::Network::Guarded) the variables of proxies point to [`Doors::proxy`].
    pub async fn spawn_confined(
        &self,
        command: &Command,
        confinement: &Confinement,
    ) -> Result<Child, SpawnError> {
        let guard = Arc::clone(&self.guard);
        let command = command.clone();
        let confinement = confinement.clone();
        // Looking at the file system, starting a process, and waiting for its answer all block.
        // The child is made there too, so that it ends properly if nobody waits for the answer.
        tokio::task::spawn_blocking(move || start(&guard, &command, &confinement))
            .await
            .map_err(|error| SpawnError::Guard(io::Error::other(error)))?
    }

    /// Tries `confinement` on the gateway's own binary, which ends at once, and reports what is in
    /// force. A part that stops servers from starting is reported as missing.
    ///
    /// Fails when it could not be tried: there is no guard, or it cannot be executed.
    pub async fn probe(&self, confinement: &Confinement) -> Result<Report, SpawnError> {
        let Some(program) = self.guard.first() else {
            return Err(SpawnError::Guard(io::ErrorKind::NotFound.into()));
        };
        // The kernel's own link to a binary leads elsewhere inside.
        let program = PathBuf::from(program)
            .canonicalize()
            .map_err(SpawnError::Guard)?;
        let command = Command {
            program: program.to_string_lossy().into_owned(),
            args: self
                .guard
                .iter()
                .skip(1)
                .map(|arg| arg.to_string_lossy().into_owned())
                .chain([PROBE.to_owned()])
                .collect(),
            ..Command::default()
        };
        match self.spawn_confined(&command, confinement).await {
            Ok(mut child) => {
                child.wait().await.map_err(SpawnError::Guard)?;
                Ok(child.report().clone())
            }
            Err(SpawnError::Confinement {
                part,
                cause,
                remedy,
                source,
            }) => Ok(Report {
                tier: confinement.tier,
                parts: vec![Part {
                    feature: part,
                    got: Got::Missing(Missing {
                        errno: source.raw_os_error().unwrap_or_default(),
                        cause,
                        remedy,
                    }),
                }],
            }),
            Err(other) => Err(other),
        }
    }
}

fn start(
    guard: &[OsString],
    command: &Command,
    confinement: &Confinement,
) -> Result<Child, SpawnError> {
    let mut plan = command.resolve()?;
    confine(&mut plan, command, confinement)?;
    let (stdin_theirs, stdin) = io::pipe().map_err(SpawnError::Resources)?;
    let (stdout, stdout_theirs) = io::pipe().map_err(SpawnError::Resources)?;
    let (stderr, stderr_theirs) = io::pipe().map_err(SpawnError::Resources)?;
    let streams = Streams {
        stdin: stdin_theirs.into(),
        stdout: stdout_theirs.into(),
        stderr: stderr_theirs.into(),
    };
    let (control, control_theirs) = UnixStream::pair().map_err(SpawnError::Resources)?;
    let mut guard = start_guard(guard, control_theirs.into(), &command.program)?;
    let answers = match instruct(&control, &plan, &streams, confinement.tier) {
        Ok(answers) => answers,
        Err(error) => {
            // It has nothing to guard, or is not a guard. Reaped here, so that none is left.
            guard.start_kill().ok();
            Handle::current().block_on(guard.wait()).ok();
            return Err(error);
        }
    };
    // The child's ends are the child's alone from here on.
    drop(streams);
    let nonblocking = |fd: OwnedFd| {
        rustix::io::ioctl_fionbio(&fd, true)?;
        io::Result::Ok(fd)
    };
    let input = |fd| nonblocking(fd).and_then(pipe::Sender::from_owned_fd);
    let output = |fd| nonblocking(fd).and_then(pipe::Receiver::from_owned_fd);
    control
        .set_nonblocking(true)
        .map_err(SpawnError::Resources)?;
    Ok(Child::new(Started {
        guard,
        pid: answers.pid,
        control: tokio::net::UnixStream::from_std(control).map_err(SpawnError::Resources)?,
        stdin: input(stdin.into()).map_err(SpawnError::Resources)?,
        stdout: output(stdout.into()).map_err(SpawnError::Resources)?,
        stderr: output(stderr.into()).map_err(SpawnError::Resources)?,
        doors: answers.doors,
        report: answers.report,
    }))
}

/// Executes the guard, with the lifeline as its standard input.
fn start_guard(
    guard: &[OsString],
    control: OwnedFd,
    label: &str,
) -> Result<tokio::process::Child, SpawnError> {
    let Some((program, args)) = guard.split_first() else {
        return Err(SpawnError::Guard(io::ErrorKind::NotFound.into()));
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts guards"
    )]
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .arg(label)
        .env_clear()
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().map_err(SpawnError::Guard)
}

/// What a guard says before its payload runs.
struct Answers {
    pid: Pid,
    doors: Option<Doors>,
    report: Report,
}

/// Hands the guard its plan and waits for its answers.
fn instruct(
    control: &UnixStream,
    plan: &Plan,
    streams: &Streams,
    tier: Tier,
) -> Result<Answers, SpawnError> {
    let send = || {
        control.set_read_timeout(Some(START_TIMEOUT))?;
        control.set_write_timeout(Some(START_TIMEOUT))?;
        send_plan(control, plan, streams)
    };
    send().map_err(SpawnError::Guard)?;
    let invalid = || SpawnError::Guard(io::ErrorKind::InvalidData.into());
    let mut doors = None;
    let mut report = None;
    loop {
        let (answer, fds) = receive_answer(control).map_err(SpawnError::Guard)?;
        match answer {
            Answer::Doors => doors = Some(Doors::from_fds(fds).map_err(SpawnError::Guard)?),
            Answer::Report(text) => {
                report = Some(Report::decode(tier, &text).ok_or_else(invalid)?);
            }
            Answer::Started(pid) => {
                let report = match (report, &plan.jail) {
                    (Some(report), _) => report,
                    (None, None) => Report::bare(tier),
                    // Nothing says that it is confined.
                    (None, Some(_)) => return Err(invalid()),
                };
                return Ok(Answers {
                    pid: Pid::from_raw(pid).ok_or_else(invalid)?,
                    doors,
                    report,
                });
            }
            Answer::Refused(refusal) => return Err(refusal.into_error()),
            Answer::Failed(errno) => {
                return Err(SpawnError::Exec {
                    program: plan.program.to_string_lossy().into_owned(),
                    source: io::Error::from_raw_os_error(errno),
                });
            }
            Answer::Ended(_) => return Err(invalid()),
        }
    }
}
