//! What uv and pip have in common: the environment that they install into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::install::{InstallError, Made, at};
use crate::installed::Component;
use crate::npm::head;
use crate::recipe::Recipe;
use crate::requirement::normalised;
use crate::runner::Runner;
use crate::step::{Purpose, Step, StepOutput};

/// Says what is installed, and where the interpreter's own files lie. It runs without `site`, whose
/// `.pth` files would be code of the packages.
const LOOK: &str = r#"
import importlib.metadata, json, os, sys, sysconfig
tree = sys.argv[1]
lib = os.path.join(tree, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
bin = os.path.join(tree, "bin")
found = []
for one in importlib.metadata.distributions(path=[lib]):
    files = [os.path.normpath(os.path.join(lib, str(file))) for file in one.files or []]
    found.append({
        "name": one.metadata["Name"],
        "version": one.version,
        "programs": [os.path.basename(file) for file in files if os.path.dirname(file) == bin],
        "tags": [line[4:].strip() for line in (one.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")],
    })
home = os.path.dirname(os.path.realpath(sys.executable))
print(json.dumps({
    "packages": found,
    "lib": lib,
    "reads": sorted({home, sys.base_prefix, sys.base_exec_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}),
}))
"#;

#[derive(Deserialize)]
struct Look {
    packages: Vec<Found>,
    lib: PathBuf,
    reads: Vec<PathBuf>,
}

/// A package in the environment.
#[derive(Deserialize)]
struct Found {
    name: String,
    version: String,
    programs: Vec<String>,
    tags: Vec<String>,
}

/// A package that was settled: its version, and the wheels that it may come from.
pub(crate) struct Settled {
    pub(crate) version: String,
    pub(crate) wheels: Vec<Wheel>,
}

/// A wheel, and its digest as Subresource Integrity.
pub(crate) struct Wheel {
    pub(crate) file: String,
    pub(crate) integrity: String,
}

/// The requirements as a file, one on a line.
pub(crate) fn requirements(recipe: &Recipe) -> String {
    let launcher = &recipe.launcher;
    let lines: Vec<String> = launcher
        .packages
        .iter()
        .map(|package| package.text(launcher.ecosystem) + "\n")
        .collect();
    lines.concat()
}

/// The environment's own interpreter.
pub(crate) fn interpreter(recipe: &Recipe) -> PathBuf {
    recipe.tree().join("bin/python")
}

/// Compiles, then compares what is installed with what was settled.
pub(crate) async fn finish<F, E>(
    runner: &mut Runner<'_, F>,
    settled: &BTreeMap<String, Settled>,
) -> Result<Made, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let recipe = runner.recipe;
    let python = interpreter(recipe);
    let tree = recipe.tree();
    let args = ["-I", "-S", "-c", LOOK, &tree.to_string_lossy()];
    let answer = runner
        .run(&recipe.step(Purpose::Ask, &python, &args))
        .await?;
    let unknown = |_unknown| InstallError::Answer {
        purpose: Purpose::Ask,
        what: "installed packages",
    };
    let look: Look = serde_json::from_slice(&answer).map_err(unknown)?;
    // Nobody can write there later, so this is the one time to compile; and by the content of the
    // source, not its time, so that the same package is always the same tree. A file that does not
    // compile is a matter of who imports it.
    let lib = look.lib.to_string_lossy();
    let args = [
        "-I",
        "-S",
        "-m",
        "compileall",
        "-qq",
        "--invalidation-mode",
        "unchecked-hash",
        &lib,
    ];
    runner
        .try_run(&recipe.step(Purpose::Prepare, &python, &args))
        .await?;

    let main = recipe
        .launcher
        .packages
        .first()
        .map(|package| package.name.as_str());
    let mut components = Vec::new();
    let mut made = None;
    for found in &look.packages {
        let component = component(found, settled)?;
        if Some(component.name.as_str()) == main {
            let (program, interpreted) = program(recipe, found)?;
            made = Some((component.clone(), program, interpreted));
        }
        components.push(component);
    }
    let package = main.unwrap_or_default();
    let (main, program, interpreted) = made.ok_or_else(|| InstallError::Unexpected {
        package: package.to_owned(),
        expected: "a version".to_owned(),
        found: "nothing".to_owned(),
    })?;
    let mut reads = vec![PathBuf::from("tree")];
    reads.extend(look.reads.into_iter().filter(|path| path.is_absolute()));
    Ok(Made {
        main,
        components,
        program,
        interpreter: interpreted.then(|| PathBuf::from("tree/bin/python")),
        interpreter_args: Vec::new(),
        reads,
    })
}

/// The settled package that was found, with the digest of the wheel that it came from.
fn component<E: std::error::Error + 'static>(
    found: &Found,
    settled: &BTreeMap<String, Settled>,
) -> Result<Component, InstallError<E>> {
    let name = normalised(&found.name);
    let Some(expected) = settled
        .get(&name)
        .filter(|one| same(&one.version, &found.version))
    else {
        return Err(InstallError::Unexpected {
            expected: settled
                .get(&name)
                .map_or("nothing", |one| &one.version)
                .to_owned(),
            package: name,
            found: found.version.clone(),
        });
    };
    let integrity = match expected.wheels.as_slice() {
        [one] => one.integrity.clone(),
        several => {
            let mut digests: Vec<&str> = several
                .iter()
                .filter(|wheel| tags(&wheel.file).is_some_and(|tags| covers(&tags, &found.tags)))
                .map(|wheel| wheel.integrity.as_str())
                .collect();
            // Which of the wheels it was cannot be told from their names: any of them.
            if digests.is_empty() {
                digests = several
                    .iter()
                    .map(|wheel| wheel.integrity.as_str())
                    .collect();
            }
            digests.sort_unstable();
            digests.join(" ")
        }
    };
    Ok(Component {
        name,
        version: expected.version.clone(),
        integrity,
    })
}

/// Whether two spellings are one version (PEP 440).
fn same(one: &str, other: &str) -> bool {
    use pep440_rs::Version;
    match (one.parse::<Version>(), other.parse::<Version>()) {
        (Ok(one), Ok(other)) => one == other,
        _unknown => one == other,
    }
}

/// The compatibility tags of a wheel's name (PEP 425), each written out.
fn tags(file: &str) -> Option<Vec<String>> {
    let mut parts = file.strip_suffix(".whl")?.rsplit('-');
    let (platforms, abis, pythons) = (parts.next()?, parts.next()?, parts.next()?);
    let mut tags = Vec::new();
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            let platforms = platforms.split('.');
            tags.extend(platforms.map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    tags.sort_unstable();
    Some(tags)
}

fn covers(tags: &[String], found: &[String]) -> bool {
    !found.is_empty() && found.iter().all(|tag| tags.contains(tag))
}

/// The program, relative to the install, and whether the environment's Python runs it.
fn program<E: std::error::Error + 'static>(
    recipe: &Recipe,
    found: &Found,
) -> Result<(PathBuf, bool), InstallError<E>> {
    let program = recipe.launcher.program.as_deref().unwrap_or(&found.name);
    if !found.programs.iter().any(|one| one == program) {
        return Err(InstallError::Program {
            package: normalised(&found.name),
            program: Some(program.to_owned()),
            found: found.programs.clone(),
        });
    }
    let relative = Path::new("tree/bin").join(program);
    let path = recipe.partial().join(&relative);
    if !path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file())
    {
        return Err(InstallError::Outside {
            package: normalised(&found.name),
            program: program.to_owned(),
        });
    }
    let head = head(&path).map_err(at(&path))?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    // The second form is for interpreters whose path a `#!` line cannot hold.
    let second = lines.next().unwrap_or_default();
    let python =
        first.starts_with("#!") && (first.contains("python") || second.starts_with("'''exec'"));
    Ok((relative, python))
}

/// `sha256-…` (Subresource Integrity) of a SHA-256 in hexadecimal; `None` of anything else.
pub(crate) fn integrity(hexadecimal: &str) -> Option<String> {
    if hexadecimal.len() != 64 {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..32)
        .map(|at| {
            let pair = hexadecimal.get(2 * at..2 * at + 2)?;
            pair.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect();
    Some(format!("sha256-{}", STANDARD.encode(bytes?)))
}

#[cfg(test)]
mod tests;
