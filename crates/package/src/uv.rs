//! The steps of uv.
//!
//! Its default index is what it writes into the requirements of nothing at all
//! (`--emit-index-url`). Where an index keeps its files is found out by settling the packages without
//! what they depend on: for that, uv reads the index alone. Then it settles everything into a lock
//! (`pylock.toml`, PEP 751), from wheels only, and installs exactly that.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::install::{InstallError, Made, at};
use crate::python::{self, Settled, Wheel, finish, integrity};
use crate::requirement::normalised;
use crate::runner::Runner;
use crate::step::{Host, Purpose, Step, StepOutput};

/// `pylock.toml`, as far as it matters here.
#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: Option<String>,
    #[serde(default)]
    wheels: Vec<LockedWheel>,
}

#[derive(Deserialize)]
struct LockedWheel {
    url: Option<String>,
    name: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(crate) async fn install<F, E>(
    runner: &mut Runner<'_, F>,
    uv: &Path,
) -> Result<Made, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let recipe = runner.recipe;
    let cache = format!("--cache-dir={}", recipe.cache().display());
    let python = format!("--python={}", python::interpreter(recipe).display());
    let indexes = indexes(runner, uv, &cache).await?;
    let wanted = recipe.partial().join("wanted.txt");
    let wanted_text = wanted.to_string_lossy().into_owned();
    std::fs::write(&wanted, python::requirements(recipe)).map_err(at(&wanted))?;

    let tree = recipe.tree();
    let tree_text = tree.to_string_lossy();
    let mut args = vec![
        "venv",
        &cache,
        "--no-project",
        "--allow-existing",
        "--relocatable",
    ];
    if let Some(version) = &recipe.launcher.python {
        args.extend(["--python", version]);
    }
    args.push(&tree_text);
    runner
        .run(&recipe.step(Purpose::Prepare, uv, &args))
        .await?;

    let resolve = |file: &str, more: &[&str]| {
        let output = format!("--output-file={}", recipe.partial().join(file).display());
        let args = [
            "pip",
            "compile",
            &cache,
            &python,
            "--no-build",
            "--format=pylock.toml",
            &output,
        ];
        recipe.step(
            Purpose::Resolve,
            uv,
            &[&args, more, &[&wanted_text]].concat(),
        )
    };
    let step = resolve("pylock.first.toml", &["--no-deps"]);
    runner.run(&recipe.reaching(step, &indexes)).await?;
    let mut hosts = read(&recipe.partial().join("pylock.first.toml"))?.hosts();
    hosts.extend(indexes);
    let step = resolve("pylock.toml", &[]);
    runner.run(&recipe.reaching(step, &hosts)).await?;
    let lock_path = recipe.partial().join("pylock.toml");
    let lock = read(&lock_path)?;
    hosts.extend(lock.hosts());
    let settled = lock.settled()?;

    let lock_text = lock_path.to_string_lossy();
    let args = [
        "pip",
        "sync",
        &cache,
        &python,
        "--no-build",
        "--link-mode=copy",
        &lock_text,
    ];
    let step = recipe.step(Purpose::Fetch, uv, &args);
    runner.run(&recipe.reaching(step, &hosts)).await?;
    finish(runner, &settled).await
}

/// The indexes that uv is configured for.
async fn indexes<F, E>(
    runner: &mut Runner<'_, F>,
    uv: &Path,
    cache: &str,
) -> Result<Vec<Host>, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let recipe = runner.recipe;
    let nothing = recipe.partial().join("nothing.txt");
    std::fs::write(&nothing, "").map_err(at(&nothing))?;
    let nothing = nothing.to_string_lossy();
    let mut args = vec![
        "pip",
        "compile",
        cache,
        "--offline",
        "--emit-index-url",
        "--quiet",
    ];
    if let Some(version) = &recipe.launcher.python {
        args.extend(["--python", version]);
    }
    args.push(&nothing);
    let answer = runner.run(&recipe.step(Purpose::Ask, uv, &args)).await?;
    let answer = String::from_utf8_lossy(&answer);
    let hosts: Vec<Host> = answer
        .lines()
        .filter_map(|line| {
            let (option, url) = line.trim().split_once(' ')?;
            matches!(option, "--index-url" | "--extra-index-url").then_some(())?;
            Host::of(url.trim())
        })
        .collect();
    if hosts.is_empty() {
        return Err(InstallError::Answer {
            purpose: Purpose::Ask,
            what: "--index-url",
        });
    }
    Ok(hosts)
}

fn read<E: std::error::Error + 'static>(path: &Path) -> Result<Lock, InstallError<E>> {
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    toml::from_str(&text).map_err(|_unknown| InstallError::Answer {
        purpose: Purpose::Resolve,
        what: "pylock.toml",
    })
}

impl Lock {
    fn hosts(&self) -> Vec<Host> {
        let wheels = self.packages.iter().flat_map(|package| &package.wheels);
        wheels
            .filter_map(|wheel| Host::of(wheel.url.as_deref()?))
            .collect()
    }

    /// Refuses what has no wheel, or a wheel without a strong digest.
    fn settled<E: std::error::Error + 'static>(
        &self,
    ) -> Result<BTreeMap<String, Settled>, InstallError<E>> {
        let mut settled = BTreeMap::new();
        for package in &self.packages {
            let version = package.version.clone().unwrap_or_default();
            let name = || package.name.clone();
            if package.wheels.is_empty() {
                return Err(InstallError::NoWheel {
                    package: name(),
                    version,
                });
            }
            let wheels: Option<Vec<Wheel>> = package.wheels.iter().map(LockedWheel::read).collect();
            let Some(wheels) = wheels else {
                return Err(InstallError::NoIntegrity {
                    package: name(),
                    version,
                });
            };
            settled.insert(normalised(&package.name), Settled { version, wheels });
        }
        Ok(settled)
    }
}

impl LockedWheel {
    fn read(&self) -> Option<Wheel> {
        let url = self.url.as_deref().unwrap_or_default();
        let last = url.rsplit('/').next().unwrap_or_default();
        Some(Wheel {
            file: self.name.clone().unwrap_or_else(|| last.to_owned()),
            integrity: integrity(self.hashes.get("sha256")?)?,
        })
    }
}
