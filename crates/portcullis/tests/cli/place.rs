//! A directory of its own for each test, and the binary run in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory that is working directory and home of the binary.
pub(crate) struct Place {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// What the binary printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// A place whose `portcullis.toml` says `config`.
    pub(crate) fn with(config: &str) -> Self {
        let place = Self::new();
        place.write("portcullis.toml", config);
        place
    }

    /// The same with a variable in the environment, which is empty otherwise.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary with `args`, ready to start.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts the binary itself"
        )]
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("COLUMNS", "100")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary with `args` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs the binary with `args` to its end, with `input` on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have refused its arguments, and never read.
        child.stdin.take().unwrap().write_all(input).ok();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// What a command that succeeds prints.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> String {
        self.run(args).done()
    }

    /// The JSON that a command that succeeds prints.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.done(args)).unwrap()
    }

    /// What a command that fails with `code` says.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], code: i32) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        ran.stderr
    }

    /// What `check` says of the file: the drawing, the verdict and the exit code.
    pub(crate) fn check(&self) -> String {
        let Ran {
            code,
            stdout,
            stderr,
        } = self.run(&["check", "--config", "portcullis.toml"]);
        assert!(!stderr.contains('\u{1b}'), "no colours but on a terminal");
        let code = code.unwrap();
        let drawn: Vec<&str> = stderr.lines().map(str::trim_end).chain([""]).collect();
        format!(
            "{}{stdout}exit code {code}",
            drawn.join("\n").trim_start_matches('\n')
        )
    }
}
