//! An install, from the first step to its place on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnosis::Fault;
use crate::installed::{Component, Installed};
use crate::recipe::{Recipe, Tool};
use crate::runner::Runner;
use crate::shelf::ShelfError;
use crate::step::{Purpose, Step, StepOutput};
use crate::tree::{self, TreeError};
use crate::{npm, pip, uv};

/// An install that was not made; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum InstallError<E: std::error::Error + 'static> {
    /// The caller could not run a step.
    #[error("{purpose} could not be started; check how local servers are confined")]
    Run {
        /// Which.
        purpose: Purpose,
        /// Why.
        #[source]
        source: E,
    },
    /// A step failed.
    #[error("{purpose} failed")]
    Step {
        /// Which.
        purpose: Purpose,
        /// Why, as far as its output says.
        #[source]
        fault: Fault,
    },
    /// A step wrote something that could not be understood.
    #[error(
        "{purpose} answered `{what}` in a form that is not known; install another version of npm, uv or pip"
    )]
    Answer {
        /// Which.
        purpose: Purpose,
        /// What was looked for.
        what: &'static str,
    },
    /// A package wants to run code while it is installed.
    #[error(
        "the package `{package}` {version} runs a script when it is installed; if you trust it, set `install_scripts = true` for the server"
    )]
    Scripts {
        /// Which.
        package: String,
        /// Its version.
        version: String,
    },
    /// A package depends on something that is in no registry.
    #[error(
        "the package `{package}` depends on `{dependency}` at `{address}`, which is not in a registry; name another version"
    )]
    Dependency {
        /// Which.
        package: String,
        /// What it depends on.
        dependency: String,
        /// Where that would come from.
        address: String,
    },
    /// The registry states no digest, or only a weak one.
    #[error(
        "the registry states no SHA-256 or SHA-512 of `{package}` {version}; name another version, or use a registry that states it"
    )]
    NoIntegrity {
        /// Which.
        package: String,
        /// Its version.
        version: String,
    },
    /// Only source code, or wheels for other machines.
    #[error(
        "`{package}` {version} has no wheel, and building one runs it; name a version that has one, or install it yourself and write the program's path"
    )]
    NoWheel {
        /// Which.
        package: String,
        /// Its version.
        version: String,
    },
    /// What was unpacked is not what was settled.
    #[error(
        "`{package}` is installed as `{found}` where `{expected}` was settled; try again, and tell whoever runs the registry if it stays"
    )]
    Unexpected {
        /// Which.
        package: String,
        /// What was settled.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The package has no such program.
    #[error("{}", no_program(package, program.as_deref(), found))]
    Program {
        /// Which.
        package: String,
        /// What was looked for; absent if it was to follow from the package.
        program: Option<String>,
        /// What there is.
        found: Vec<String>,
    },
    /// A program lies outside its package.
    #[error("the program `{program}` of `{package}` is not a file of the package; do not use it")]
    Outside {
        /// Which.
        package: String,
        /// The program.
        program: String,
    },
    /// The result could not be digested.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The result could not be put in place.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The file system failed.
    #[error("`{path}` cannot be used; check the permissions and the free space there")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn no_program(package: &str, program: Option<&str>, found: &[String]) -> String {
    let has = match found {
        [] => return format!("`{package}` has no program to run; name another package"),
        [one] => format!("has the program `{one}`"),
        several => format!("has the programs `{}`", several.join("`, `")),
    };
    match program {
        Some(program) => format!(
            "`{package}` has no program `{program}`: it {has}; name one, with npx `-p PACKAGE PROGRAM`, with uvx `--from PACKAGE PROGRAM`, with pipx `--spec PACKAGE PROGRAM`"
        ),
        None => format!(
            "`{package}` {has}, and none of them has its name; name one: `npx -p {package} PROGRAM`"
        ),
    }
}

/// What an ecosystem's steps made. Paths are relative to the install, or absolute outside it.
pub(crate) struct Made {
    pub(crate) main: Component,
    pub(crate) components: Vec<Component>,
    pub(crate) program: PathBuf,
    pub(crate) interpreter: Option<PathBuf>,
    pub(crate) interpreter_args: Vec<String>,
    pub(crate) reads: Vec<PathBuf>,
}

/// Installs what the recipe says beside the installs that are there, and accepts nothing.
///
/// `run` runs one step, confined to what the step names, and says how it ended. It bounds the time;
/// a dropped install leaves nothing behind that the next one does not remove. If somebody else
/// installs for the same server, this waits until they are done; the same install made twice is
/// one. `now_ms` is milliseconds since the Unix epoch.
///
/// # Errors
///
/// [`InstallError`]. Nothing of the package's own code has been run, unless `install_scripts` is
/// set.
pub async fn install<F, E>(
    recipe: &Recipe,
    now_ms: u64,
    run: F,
) -> Result<Installed, InstallError<E>>
where
    F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
    E: std::error::Error + 'static,
{
    let partial_path = recipe.partial();
    let lock = recipe.shelf.lock().await.map_err(at(&partial_path))?;
    let partial = Partial::make(&partial_path).map_err(at(&partial_path))?;
    let mut runner = Runner { recipe, run };
    let Made {
        main,
        mut components,
        program,
        interpreter,
        interpreter_args,
        reads,
    } = match &recipe.tool {
        Tool::Npm { npm, node } => npm::install(&mut runner, npm, node).await?,
        Tool::Uv(uv) => uv::install(&mut runner, uv).await?,
        Tool::Pip { python } => pip::install(&mut runner, python).await?,
    };
    components.sort_unstable();
    components.dedup();
    let mut installed = Installed {
        ecosystem: recipe.launcher.ecosystem,
        spec: recipe.launcher.spec(),
        name: main.name,
        version: main.version,
        integrity: main.integrity,
        tree: String::new(),
        components,
        program,
        interpreter,
        interpreter_args,
        reads,
        installed_ms: now_ms,
    };
    let shelf = recipe.shelf.clone();
    // Reading every file takes long enough to be done apart from the other tasks.
    let published = tokio::task::spawn_blocking(move || {
        partial.keep_tree().map_err(at(&partial.path))?;
        let preface = installed
            .preface()
            .map_err(|error| at(&partial.path)(error.into()))?;
        installed.tree = tree::digest(&partial.path.join("tree"), &preface)?;
        let published = shelf.publish(&installed)?;
        drop(partial);
        drop(lock);
        Ok::<_, InstallError<std::convert::Infallible>>(published)
    });
    let published = published
        .await
        .map_err(|error| at(&partial_path)(io::Error::other(error)))?;
    published.map_err(|error| match error {
        InstallError::Tree(error) => InstallError::Tree(error),
        InstallError::Shelf(error) => InstallError::Shelf(error),
        other => at(&partial_path)(io::Error::other(other)),
    })
}

/// Turns a fault of the file system into an error about `path`.
pub(crate) fn at<E: std::error::Error + 'static>(
    path: &Path,
) -> impl Fn(io::Error) -> InstallError<E> + '_ {
    |source| InstallError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The install in the making, removed with this unless it was renamed. The lock is held meanwhile.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn make(path: &Path) -> io::Result<Self> {
        // One that was cut off is worth nothing: nobody knows how far it came.
        remove(path)?;
        let partial = Self {
            path: path.to_owned(),
        };
        for directory in ["tree", "cache", "home", "tmp"] {
            std::fs::create_dir_all(path.join(directory))?;
        }
        Ok(partial)
    }

    /// Removes all but the tree.
    fn keep_tree(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() == "tree" {
            } else if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next install, or stops it.
        drop(remove(&self.path));
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _gone => Ok(()),
    }
}
