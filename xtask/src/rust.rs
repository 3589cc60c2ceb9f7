//! What the Rust toolchain itself checks.

use anyhow::Result;

use crate::command::{Command, Log};
use crate::step::{Outcome, Step};
use crate::tools;
use crate::workspace::Workspace;

/// Formatting, lints, documentation, tests, and the binaries that later steps drive.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new("fmt", "the code is formatted", |workspace, log| {
            cargo(workspace, &["fmt", "--all", "--", "--check"]).run(log)?;
            passed()
        }),
        Step::new(
            "clippy",
            "no lint complains, tests included",
            |workspace, log| {
                cargo(
                    workspace,
                    &[
                        "clippy",
                        "--locked",
                        "--workspace",
                        "--all-targets",
                        "--",
                        "-D",
                        "warnings",
                    ],
                )
                .run(log)?;
                passed()
            },
        ),
        Step::new(
            "doc",
            "the documentation builds without a warning, private items too",
            |workspace, log| {
                cargo(
                    workspace,
                    &[
                        "doc",
                        "--locked",
                        "--workspace",
                        "--no-deps",
                        "--document-private-items",
                    ],
                )
                .env("RUSTDOCFLAGS", "-D warnings")
                .run(log)?;
                passed()
            },
        ),
        Step::new("test", "unit and integration tests", test),
        Step::new(
            "doctest",
            "examples in the documentation",
            |workspace, log| {
                cargo(workspace, &["test", "--locked", "--workspace", "--doc"]).run(log)?;
                passed()
            },
        ),
        Step::new(
            "build",
            "the binaries that the steps below drive",
            |workspace, log| {
                cargo(workspace, &["build", "--locked", "--workspace", "--bins"]).run(log)?;
                passed()
            },
        ),
    ]
}

/// Names no targets: only then are examples built as the programs that some tests start.
fn test(workspace: &Workspace, log: &mut Log) -> Result<Outcome> {
    if tools::has_nextest(workspace, log) {
        cargo(
            workspace,
            &[
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--no-fail-fast",
            ],
        )
        .env("NEXTEST_NO_INPUT_HANDLER", "1")
        .run(log)?;
        return Ok(Outcome::Passed(String::from("with cargo-nextest")));
    }
    cargo(
        workspace,
        &["test", "--locked", "--workspace", "--no-fail-fast"],
    )
    .run(log)?;
    Ok(Outcome::Passed(String::from("with cargo test")))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends a step")]
fn passed() -> Result<Outcome> {
    Ok(Outcome::Passed(String::new()))
}

/// A cargo command in this workspace.
pub(crate) fn cargo(workspace: &Workspace, words: &[&str]) -> Command {
    Command::new("cargo").args(words).dir(workspace.root(""))
}
