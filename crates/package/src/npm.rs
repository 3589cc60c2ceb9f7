//! The steps of npm.
//!
//! First it settles a lock (`package-lock.json`). The lock is read: what is in no registry, has no
//! strong digest or runs scripts is refused before anything of it is downloaded. Then `npm ci`
//! installs exactly the lock and verifies each archive's digest. Both reach only the registries that
//! npm is configured for, and what [`Settings::hosts`](crate::Settings::hosts) adds. Hosts that the
//! lock names are not added: a package can bring a part of the lock along (`npm-shrinkwrap.json`),
//! and would choose them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::install::{InstallError, Made, at};
use crate::installed::Component;
use crate::recipe::{Recipe, prefix};
use crate::runner::Runner;
use crate::step::{Host, Purpose, Step, StepOutput};

/// What counts whatever the user's configuration says. An older npm does not know `--allow-…`, and
/// passes over it; the lock is read for the same.
const FIXED: [&str; 19] = [
    "--allow-directory=none",
    "--allow-file=none",
    "--allow-git=none",
    "--allow-remote=none",
    "--audit=false",
    "--bin-links=true",
    "--dry-run=false",
    "--fund=false",
    "--global=false",
    "--include=prod",
    "--include=optional",
    "--json",
    "--lockfile-version=3",
    "--loglevel=error",
    "--logs-max=0",
    "--omit=dev",
    "--omit-lockfile-registry-resolved=false",
    "--package-lock=true",
    "--update-notifier=false",
];

/// `package-lock.json`, as far as it matters here.
#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Locked>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Locked {
    name: Option<String>,
    version: String,
    resolved: String,
    integrity: String,
    link: bool,
    in_bundle: bool,
    has_install_script: bool,
    os: OneOrMore,
    cpu: OneOrMore,
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

/// `package.json` of an installed package.
#[derive(Deserialize)]
struct Manifest {
    version: String,
    #[serde(default)]
    bin: Bin,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bin {
    One(String),
    Named(BTreeMap<String, String>),
}

impl Default for Bin {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

#[derive(Deserialize)]
struct Node {
    path: PathBuf,
}

pub(crate) async fn install<F, E>(
    runner: &mut Runner<'_, F>,
    npm: &Path,
    node: &Path,
) -> Result<Made, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let recipe = runner.recipe;
    let registries = registries(runner, npm).await?;
    let tree = recipe.tree();
    let manifest = serde_json::json!({
        "private": true,
        "dependencies": recipe
            .launcher
            .packages
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect::<BTreeMap<_, _>>(),
    });
    let manifest_path = tree.join("package.json");
    std::fs::write(&manifest_path, manifest.to_string()).map_err(at(&manifest_path))?;

    let lock_only = ["--package-lock-only", "--ignore-scripts=true"];
    let step = step(recipe, npm, Purpose::Resolve, "install", &lock_only);
    runner.run(&recipe.reaching(step, &registries)).await?;
    let lock_path = tree.join("package-lock.json");
    let text = std::fs::read(&lock_path).map_err(at(&lock_path))?;
    let lock: Lock = serde_json::from_slice(&text).map_err(|_unknown| InstallError::Answer {
        purpose: Purpose::Resolve,
        what: "package-lock.json",
    })?;
    check(&lock, recipe.settings.install_scripts)?;

    let scripts = format!("--ignore-scripts={}", !recipe.settings.install_scripts);
    let step = self::step(recipe, npm, Purpose::Fetch, "ci", &[&scripts]);
    runner.run(&recipe.reaching(step, &registries)).await?;

    let node = interpreter(runner, node).await?;
    made(recipe, &lock, node)
}

fn step(recipe: &Recipe, npm: &Path, purpose: Purpose, command: &str, more: &[&str]) -> Step {
    let tree = format!("--prefix={}", recipe.tree().display());
    let cache = format!("--cache={}", recipe.cache().display());
    let args: Vec<&str> = [command, &tree, &cache]
        .into_iter()
        .chain(FIXED)
        .chain(more.iter().copied())
        .collect();
    recipe.step(purpose, npm, &args)
}

/// The registry and those of scopes, as npm reads its configuration.
async fn registries<F, E>(
    runner: &mut Runner<'_, F>,
    npm: &Path,
) -> Result<Vec<Host>, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let args = ["config", "list", "--json", "--loglevel=error"];
    let step = runner.recipe.step(Purpose::Ask, npm, &args);
    let answer = runner.run(&step).await?;
    let unknown = InstallError::Answer {
        purpose: Purpose::Ask,
        what: "registry",
    };
    let Ok(Value::Object(config)) = serde_json::from_slice(&answer) else {
        return Err(unknown);
    };
    let hosts: Vec<Host> = config
        .iter()
        .filter(|(key, _value)| *key == "registry" || key.ends_with(":registry"))
        .filter_map(|(_key, value)| Host::of(value.as_str()?))
        .collect();
    if hosts.is_empty() {
        return Err(unknown);
    }
    Ok(hosts)
}

/// The Node.js that is on the path, and not what stands for it there.
async fn interpreter<F, E>(
    runner: &mut Runner<'_, F>,
    node: &Path,
) -> Result<PathBuf, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let args = ["-p", "JSON.stringify({path: process.execPath})"];
    let step = runner.recipe.step(Purpose::Ask, node, &args);
    let answer = runner.run(&step).await?;
    match serde_json::from_slice::<Node>(&answer) {
        Ok(Node { path }) if path.is_absolute() => Ok(path),
        _other => Err(InstallError::Answer {
            purpose: Purpose::Ask,
            what: "process.execPath",
        }),
    }
}

/// Refuses what must not be downloaded.
fn check<E: std::error::Error + 'static>(
    lock: &Lock,
    scripts: bool,
) -> Result<(), InstallError<E>> {
    // What is asked for first: a message about it says more than one about what was found for it.
    for (place, locked) in &lock.packages {
        check_dependencies(place, locked)?;
    }
    // The first entry is the manifest that asks for the packages.
    let found = lock.packages.iter().filter(|(place, _)| !place.is_empty());
    for (place, locked) in found {
        let package = locked.name.clone().unwrap_or_else(|| name_at(place));
        let version = locked.version.clone();
        // What comes in another's archive is covered by the digest of that.
        if locked.in_bundle && locked.resolved.is_empty() && !locked.link {
        } else if locked.link || Host::of(&locked.resolved).is_none() {
            return Err(InstallError::Dependency {
                package: package.clone(),
                dependency: package,
                address: locked.resolved.clone(),
            });
        } else if !is_strong(&locked.integrity) {
            return Err(InstallError::NoIntegrity { package, version });
        }
        if locked.has_install_script && !scripts && locked.is_for_here() {
            return Err(InstallError::Scripts { package, version });
        }
    }
    Ok(())
}

/// Refuses what is asked for by an address.
fn check_dependencies<E: std::error::Error + 'static>(
    place: &str,
    locked: &Locked,
) -> Result<(), InstallError<E>> {
    let all = [
        &locked.dependencies,
        &locked.optional_dependencies,
        &locked.peer_dependencies,
    ];
    for (dependency, range) in all.into_iter().flatten() {
        // `npm:@scope/name@range` is a name of a registry; all else with these is an address.
        let address = match range.strip_prefix("npm:") {
            Some(alias) => alias.contains(':'),
            None => range.contains(['/', ':']),
        };
        if address {
            return Err(InstallError::Dependency {
                package: locked.name.clone().unwrap_or_else(|| name_at(place)),
                dependency: dependency.clone(),
                address: range.clone(),
            });
        }
    }
    Ok(())
}

fn is_strong(integrity: &str) -> bool {
    let mut digests = integrity.split_whitespace().peekable();
    digests.peek().is_some()
        && digests.all(|one| {
            ["sha512-", "sha384-", "sha256-"]
                .iter()
                .any(|prefix| one.starts_with(prefix))
        })
}

impl Locked {
    /// Whether npm installs it on this machine.
    fn is_for_here(&self) -> bool {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let cpu = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        self.os.admits(os) && self.cpu.admits(cpu)
    }
}

impl OneOrMore {
    /// A list of names, or of names after `!` that are excepted.
    fn admits(&self, name: &str) -> bool {
        let names = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        };
        let excepted = names.iter().any(|one| one.strip_prefix('!') == Some(name));
        let all = names.iter().all(|one| one.starts_with('!'));
        !excepted && (all || names.iter().any(|one| one == name || one == "any"))
    }
}

fn name_at(place: &str) -> String {
    let last = place.rsplit("node_modules/").next();
    last.unwrap_or(place).to_owned()
}

fn made<E: std::error::Error + 'static>(
    recipe: &Recipe,
    lock: &Lock,
    node: PathBuf,
) -> Result<Made, InstallError<E>> {
    let mut found = Vec::new();
    for package in recipe.launcher.main_packages() {
        let name = &package.name;
        let directory = recipe.tree().join("node_modules").join(name);
        let manifest_path = directory.join("package.json");
        let text = std::fs::read(&manifest_path).map_err(at(&manifest_path))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| at(&manifest_path)(error.into()))?;
        let locked = lock.packages.get(&format!("node_modules/{name}"));
        let expected = locked.map(|one| one.version.clone()).unwrap_or_default();
        if manifest.version != expected {
            return Err(InstallError::Unexpected {
                package: name.clone(),
                expected,
                found: manifest.version,
            });
        }
        let programs = manifest.bin.named(name);
        let Some(path) = choose(&programs, name, recipe.launcher.program.as_deref()) else {
            found.extend(programs.into_keys());
            continue;
        };
        let outside = || InstallError::Outside {
            package: name.clone(),
            program: path.clone(),
        };
        let real = |path: &Path| path.canonicalize().ok();
        let program = real(&directory.join(&path)).ok_or_else(outside)?;
        if !program.is_file() || !program.starts_with(real(&directory).ok_or_else(outside)?) {
            return Err(outside());
        }
        let partial = real(&recipe.partial()).ok_or_else(outside)?;
        let relative = program
            .strip_prefix(partial)
            .map_err(|_not_below| outside())?;
        let args = node_args(&program).map_err(at(&program))?;
        let main = Component {
            name: name.clone(),
            version: manifest.version,
            integrity: locked.map(|one| one.integrity.clone()).unwrap_or_default(),
        };
        let mut reads = vec![PathBuf::from("tree")];
        if args.is_some()
            && let Some(directory) = node.parent()
        {
            reads.push(prefix(directory, &recipe.settings.home));
        }
        return Ok(Made {
            main,
            components: components(recipe, lock),
            program: relative.to_owned(),
            interpreter: args.is_some().then_some(node),
            interpreter_args: args.unwrap_or_default(),
            reads,
        });
    }
    let packages: Vec<&str> = recipe
        .launcher
        .main_packages()
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    Err(InstallError::Program {
        package: packages.join("`, `"),
        program: recipe.launcher.program.clone(),
        found,
    })
}

/// Those that were installed: packages for other machines are in the lock alone.
fn components(recipe: &Recipe, lock: &Lock) -> Vec<Component> {
    lock.packages
        .iter()
        .filter(|(place, _locked)| !place.is_empty() && recipe.tree().join(place).is_dir())
        .map(|(place, locked)| Component {
            name: locked.name.clone().unwrap_or_else(|| name_at(place)),
            version: locked.version.clone(),
            integrity: locked.integrity.clone(),
        })
        .collect()
}

impl Bin {
    /// By name; a program without one has the package's, without its scope.
    fn named(self, package: &str) -> BTreeMap<String, String> {
        match self {
            Self::One(path) => BTreeMap::from([(unscoped(package).to_owned(), path)]),
            Self::Named(named) => named,
        }
    }
}

fn unscoped(package: &str) -> &str {
    package.rsplit('/').next().unwrap_or(package)
}

/// The program that was asked for; else the only one there is; else the one with the package's name.
fn choose(
    programs: &BTreeMap<String, String>,
    package: &str,
    program: Option<&str>,
) -> Option<String> {
    if let Some(program) = program {
        return programs.get(program).cloned();
    }
    let mut paths = programs.values();
    let first = paths.next()?;
    if paths.all(|path| path == first) {
        return Some(first.clone());
    }
    programs.get(unscoped(package)).cloned()
}

/// What Node.js is told before the script, from its `#!` line; `None` if something else runs it.
fn node_args(program: &Path) -> std::io::Result<Option<Vec<String>>> {
    let head = head(program)?;
    let script = program
        .extension()
        .is_some_and(|extension| ["js", "cjs", "mjs"].iter().any(|known| extension == *known));
    let Some(line) = head.strip_prefix("#!").and_then(|line| line.lines().next()) else {
        return Ok(script.then(Vec::new));
    };
    let mut words = line.split_whitespace().peekable();
    let is = |word: &str, name: &str| Path::new(word).file_name().is_some_and(|last| last == name);
    if words.peek().is_some_and(|word| is(word, "env")) {
        words.next();
        if words.peek() == Some(&"-S") {
            words.next();
        }
    }
    let node = words.next().is_some_and(|word| is(word, "node"));
    Ok(node.then(|| words.map(str::to_owned).collect()))
}

/// The first bytes of a file, as text.
pub(crate) fn head(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(512)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
