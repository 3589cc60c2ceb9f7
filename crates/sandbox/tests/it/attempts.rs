//! How the hostile server is run before its stage.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;

use portcullis_sandbox::{Command, Confinement, Exit, Feature, Got, Limits, Tier};

use crate::stage::{NOBODY, Stage, open};
use crate::support::{self, bounded, read_to_end, sandbox};

impl Stage {
    pub(crate) fn confinement(&self, tier: Tier) -> Confinement {
        let at = |path: &str| self.root().join(path);
        let hidden = ["granted/client/config.json", "granted/state"];
        Confinement {
            reads: vec![at("readable")],
            writes: vec![at("granted")],
            hidden: match tier {
                Tier::Full => hidden.map(at).to_vec(),
                _ => vec![],
            },
            limits: Limits {
                memory_bytes: 256 << 20,
                processes: 64,
                open_files: 256,
                file_bytes: 32 << 20,
                cpu_seconds: Some(60),
                scratch_bytes: 16 << 20,
            },
            ..Confinement::new(tier)
        }
    }

    pub(crate) fn command(&self, attempt: &str) -> Command {
        Command {
            program: support::example("hostile").display().to_string(),
            args: [attempt.to_owned()]
                .into_iter()
                .chain(self.args().iter().cloned())
                .collect(),
            ..Command::default()
        }
    }

    /// Makes every attempt but those of `except`. The answer has those that were not refused, with
    /// what they said. Whatever ends an attempt by a signal has refused it.
    pub(crate) fn reached(
        &self,
        confinement: &Confinement,
        except: &[&str],
    ) -> BTreeMap<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let run = |name: &str| {
            let (exit, text) = runtime.block_on(run(&self.command(name), confinement));
            (exit.to_string(), text)
        };
        each(run, except)
    }

    /// As [`Stage::reached`], with a gateway that is run by somebody without rights.
    pub(crate) fn reached_for_nobody(
        &self,
        tier: Tier,
        except: &[&str],
    ) -> BTreeMap<String, String> {
        self.hand_to_nobody();
        // Where builds are may be closed to others.
        let programs = tempfile::tempdir_in("/var/tmp").unwrap();
        open(programs.path());
        for name in ["host", "hostile"] {
            std::fs::copy(support::example(name), programs.path().join(name)).unwrap();
        }
        let at = |path: &str| self.root().join(path).display().to_string();
        let hostile = programs.path().join("hostile").display().to_string();
        let mut options: Vec<String> = [
            "--tier",
            tier.name(),
            "--memory",
            "268435456",
            "--processes",
            "64",
            "--files",
            "256",
            "--file-bytes",
            "33554432",
            "--scratch",
            "16777216",
        ]
        .map(str::to_owned)
        .to_vec();
        let hidden = [
            ("--hide", "granted/client/config.json"),
            ("--hide", "granted/state"),
        ];
        let granted = [("--read", "readable"), ("--write", "granted")];
        let hidden = hidden.iter().filter(|_| tier == Tier::Full);
        for (option, path) in granted.iter().chain(hidden) {
            options.extend([(*option).to_owned(), at(path)]);
        }
        let run = |name: &str| {
            #[expect(
                clippy::disallowed_methods,
                reason = "the gateway of this test is no local server"
            )]
            let output = std::process::Command::new(programs.path().join("host"))
                .args(&options)
                .args([&hostile, name])
                .args(
                    self.args()
                        .iter()
                        .filter(|arg| !arg.starts_with("gateway=")),
                )
                .arg("gateway=self")
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            let exit = lines.pop().unwrap().to_owned();
            (exit, lines.join("\n"))
        };
        each(run, except)
    }
}

/// Makes every attempt but those of `except`, by `run`.
fn each(
    mut run: impl FnMut(&str) -> (String, String),
    except: &[&str],
) -> BTreeMap<String, String> {
    let names = run("--list").1;
    assert!(names.lines().count() > 150, "{names}");
    let mut reached = BTreeMap::new();
    for name in names.lines().filter(|name| !except.contains(name)) {
        let (exit, text) = run(name);
        if exit != "exit code 1" && !exit.starts_with("signal") {
            reached.insert(name.to_owned(), format!("{exit}: {text}"));
        }
    }
    reached
}

/// Attempts that no limit of a single process stops, if there are no control groups here.
pub(crate) fn unlimited(tier: Tier) -> Vec<&'static str> {
    let is_root = rustix::process::geteuid().is_root();
    match (has_groups(tier), tier) {
        (true, _) => vec![],
        // The kernel counts no processes of root's.
        (false, Tier::Confined) if is_root => {
            vec!["memory-bomb-of-many", "fork-bomb", "thread-bomb"]
        }
        (false, _) => vec!["memory-bomb-of-many"],
    }
}

/// Whether control groups are to be had here.
pub(crate) fn has_groups(tier: Tier) -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let confinement = Confinement::new(tier);
    let report = runtime.block_on(sandbox().probe(&confinement)).unwrap();
    let memory = report.part(Feature::Memory).unwrap();
    matches!(memory.got, Got::Enforced(_))
}

pub(crate) async fn run(command: &Command, confinement: &Confinement) -> (Exit, String) {
    bounded(async {
        let sandbox = sandbox();
        let mut child = sandbox.spawn_confined(command, confinement).await.unwrap();
        let text = read_to_end(child.stdout.take().unwrap()).await;
        (child.wait().await.unwrap(), text)
    })
    .await
}
