//! The steps of pip, for where there is no uv.
//!
//! pip itself is asked which indexes it is configured for, and where these keep the files. Then it
//! settles everything without installing (`--dry-run --report`), from wheels only, and installs
//! exactly that by version and digest (`--require-hashes`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pep440_rs::Version;
use serde::Deserialize;

use crate::diagnosis::Fault;
use crate::install::{InstallError, Made, at};
use crate::python::{self, Settled, Wheel, finish, integrity};
use crate::requirement::normalised;
use crate::runner::Runner;
use crate::step::{Host, Purpose, Step, StepOutput};

/// pip's configuration, as its own commands understand it.
const INDEXES: &str = r#"
import json
from pip._internal.commands import create_command
options, _ = create_command("download").parse_args([])
index = [] if options.no_index else [options.index_url, *options.extra_index_urls]
print(json.dumps({"indexes": [one for one in index if one], "links": options.find_links}))
"#;

/// Where the files of the packages lie, from the pages of the indexes.
const FILES: &str = r#"
import json, sys
from pip._internal.commands import create_command
command = create_command("download")
options, _ = command.parse_args(["--quiet"])
with command.main_context():
    finder = command._build_package_finder(options, command.get_default_session(options))
    files = {one.link.url for name in sys.argv[1:] for one in finder.find_all_candidates(name)}
print(json.dumps({"indexes": [], "links": sorted(files)}))
"#;

#[derive(Deserialize)]
struct Places {
    indexes: Vec<String>,
    links: Vec<String>,
}

/// pip's installation report, version 1.
#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Download {
    url: String,
    archive_info: Option<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(crate) async fn install<F, E>(
    runner: &mut Runner<'_, F>,
    python: &Path,
) -> Result<Made, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let recipe = runner.recipe;
    let python = &itself(runner, python).await?;
    let step = recipe.step(Purpose::Ask, python, &["-c", INDEXES]);
    let places = places(&runner.run(&step).await?)?;
    let mut hosts = places.hosts();
    let local = places.directories();

    let names = recipe.launcher.packages.iter();
    let names: Vec<&str> = names.map(|package| package.name.as_str()).collect();
    let with_local = |mut step: Step| {
        step.reads.extend(local.iter().cloned());
        step
    };
    let step = recipe.step(
        Purpose::Ask,
        python,
        &[&["-c", FILES], names.as_slice()].concat(),
    );
    let step = with_local(recipe.reaching(step, &hosts));
    let files: Places = self::places(&runner.run(&step).await?)?;
    hosts.extend(files.hosts());

    let tree = recipe.tree();
    let args = ["-m", "venv", "--without-pip", &tree.to_string_lossy()];
    runner
        .run(&recipe.step(Purpose::Prepare, python, &args))
        .await?;

    let pip = |purpose, more: &[&str]| {
        let environment = format!("--python={}", python::interpreter(recipe).display());
        let cache = format!("--cache-dir={}", recipe.cache().display());
        let args = [
            "-m",
            "pip",
            &environment,
            "install",
            &cache,
            "--no-input",
            "--only-binary=:all:",
        ];
        with_local(recipe.step(purpose, python, &[&args, more].concat()))
    };
    let wanted = recipe.partial().join("wanted.txt");
    std::fs::write(&wanted, python::requirements(recipe)).map_err(at(&wanted))?;
    let report_path = recipe.partial().join("report.json");
    let report_option = format!("--report={}", report_path.display());
    let requirement = format!("--requirement={}", wanted.display());
    let more = [
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        &report_option,
        &requirement,
    ];
    let step = recipe.reaching(pip(Purpose::Resolve, &more), &hosts);
    runner
        .run(&step)
        .await
        .map_err(|error| files.explain(error))?;
    let text = std::fs::read(&report_path).map_err(at(&report_path))?;
    let report: Report =
        serde_json::from_slice(&text).map_err(|_unknown| InstallError::Answer {
            purpose: Purpose::Resolve,
            what: "--report",
        })?;
    hosts.extend(
        report
            .install
            .iter()
            .filter_map(|item| Host::of(&item.download_info.url)),
    );
    let (settled, lines) = settle(&report)?;

    let locked = recipe.partial().join("locked.txt");
    std::fs::write(&locked, lines).map_err(at(&locked))?;
    let requirement = format!("--requirement={}", locked.display());
    let more = [
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        &requirement,
    ];
    let step = recipe.reaching(pip(Purpose::Fetch, &more), &hosts);
    runner.run(&step).await?;
    finish(runner, &settled).await
}

/// The interpreter itself. What is on the path may be a script of a version manager, which would
/// do more than start it: pyenv's writes to its own directory after each install.
async fn itself<F, E>(runner: &mut Runner<'_, F>, python: &Path) -> Result<PathBuf, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let args = [
        "-I",
        "-c",
        "import json, sys; print(json.dumps(sys.executable))",
    ];
    let step = runner.recipe.step(Purpose::Ask, python, &args);
    let answer = runner.run(&step).await?;
    match serde_json::from_slice::<PathBuf>(&answer) {
        Ok(path) if path.is_absolute() => Ok(path),
        _other => Err(InstallError::Answer {
            purpose: Purpose::Ask,
            what: "sys.executable",
        }),
    }
}

fn places<E: std::error::Error + 'static>(answer: &[u8]) -> Result<Places, InstallError<E>> {
    serde_json::from_slice(answer).map_err(|_unknown| InstallError::Answer {
        purpose: Purpose::Ask,
        what: "index_url",
    })
}

impl Places {
    fn hosts(&self) -> Vec<Host> {
        let urls = self.indexes.iter().chain(&self.links);
        let mut hosts: Vec<Host> = urls.filter_map(|url| Host::of(url)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// pip says that there is no such package also where there is nothing but source code.
    fn explain<E: std::error::Error + 'static>(&self, error: InstallError<E>) -> InstallError<E> {
        match error {
            InstallError::Step {
                purpose,
                fault: Fault::NoPackage(detail),
            } if !self.links.is_empty() => InstallError::Step {
                purpose,
                fault: Fault::OnlySource(detail),
            },
            other => other,
        }
    }

    /// Directories of wheels (`find-links`) on this machine.
    fn directories(&self) -> Vec<PathBuf> {
        let paths = self.links.iter().map(PathBuf::from);
        paths.filter(|path| path.is_absolute()).collect()
    }
}

/// What was settled, and the same as requirements with digests.
fn settle<E: std::error::Error + 'static>(
    report: &Report,
) -> Result<(BTreeMap<String, Settled>, String), InstallError<E>> {
    let mut settled = BTreeMap::new();
    let mut lines = String::new();
    for Item {
        metadata: Metadata { name, version },
        download_info,
    } in &report.install
    {
        let name = normalised(name);
        let unknown = || InstallError::Answer {
            purpose: Purpose::Resolve,
            what: "--report",
        };
        // They become a line that pip reads: a name or version of another form could say more.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let parsed: Version = version.parse().map_err(|_invalid| unknown())?;
        if name.is_empty() || !name.chars().all(plain) {
            return Err(unknown());
        }
        let hashes = download_info
            .archive_info
            .as_ref()
            .map(|archive| &archive.hashes);
        let digest = hashes.and_then(|hashes| hashes.get("sha256"));
        let (Some(digest), Some(integrity)) = (digest, digest.and_then(|hex| integrity(hex)))
        else {
            return Err(InstallError::NoIntegrity {
                package: name,
                version: version.clone(),
            });
        };
        lines.extend([
            &name,
            "==",
            &parsed.to_string(),
            " --hash=sha256:",
            digest,
            "\n",
        ]);
        let file = download_info
            .url
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let wheels = vec![Wheel { file, integrity }];
        let version = version.clone();
        settled.insert(name, Settled { version, wheels });
    }
    Ok((settled, lines))
}
