//! How a package is installed: with which tool, where, and what the tool is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::launcher::{Ecosystem, Launcher};
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::step::{Host, Purpose, Step};

/// Everything an install needs to know. [`install()`](crate::install()) makes its steps of it, one
/// after the other, as what a step may reach follows from what the ones before it found out.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(crate) launcher: Launcher,
    pub(crate) settings: Settings,
    pub(crate) shelf: Shelf,
    pub(crate) tool: Tool,
}

/// An installer that has been found, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Npm { npm: PathBuf, node: PathBuf },
    Uv(PathBuf),
    Pip { python: PathBuf },
}

/// An install that cannot begin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecipeError {
    /// The installer is not there.
    #[error("no `{program}` is on the `PATH` of the gateway; install {remedy}")]
    NoInstaller {
        /// What was looked for.
        program: String,
        /// What to install.
        remedy: &'static str,
    },
}

impl Recipe {
    /// Finds the installer: `npm` and `node` for npm; `uv`, or else `python3` with pip, for PyPI.
    ///
    /// # Errors
    ///
    /// [`RecipeError::NoInstaller`].
    pub fn new(
        launcher: &Launcher,
        settings: Settings,
        shelf: &Shelf,
    ) -> Result<Self, RecipeError> {
        let find = |program: &str, remedy| {
            settings
                .find(program)
                .ok_or_else(|| RecipeError::NoInstaller {
                    program: program.to_owned(),
                    remedy,
                })
        };
        let tool = match launcher.ecosystem {
            Ecosystem::Npm => Tool::Npm {
                npm: find("npm", "Node.js with npm")?,
                node: find("node", "Node.js")?,
            },
            Ecosystem::PyPi => {
                if let Some(uv) = settings.find("uv") {
                    Tool::Uv(uv)
                } else {
                    let python = launcher.python.as_deref().unwrap_or("3");
                    let python = find(&format!("python{python}"), "that Python, or uv")?;
                    Tool::Pip { python }
                }
            }
        };
        Ok(Self {
            launcher: launcher.clone(),
            settings,
            shelf: shelf.clone(),
            tool,
        })
    }

    /// Where the install is made.
    pub(crate) fn partial(&self) -> PathBuf {
        self.shelf.partial()
    }

    /// `node_modules`, or a virtual environment, in the making.
    pub(crate) fn tree(&self) -> PathBuf {
        self.partial().join("tree")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.partial().join("cache")
    }

    /// A step that may write to the install alone, and reach nothing yet.
    pub(crate) fn step(&self, purpose: Purpose, program: &Path, args: &[&str]) -> Step {
        let mut reads = self.settings.files();
        let pythons = self.pythons();
        if pythons.is_dir() {
            reads.push(pythons);
        }
        let found = match &self.tool {
            Tool::Npm { npm, node } => vec![npm.as_path(), node],
            Tool::Uv(uv) => vec![uv.as_path()],
            Tool::Pip { python } => vec![python.as_path()],
        };
        for program in found.into_iter().chain([program]) {
            reads.extend(self.around(program));
        }
        if matches!(self.tool, Tool::Uv(_)) {
            // uv looks for interpreters itself, there as well.
            let version = self.launcher.python.as_deref().unwrap_or("3");
            for name in ["python3", &format!("python{version}")] {
                let python = self.settings.find(name);
                reads.extend(python.map_or_else(Vec::new, |python| self.around(&python)));
            }
        }
        reads.sort_unstable();
        reads.dedup();
        Step {
            purpose,
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: self.env(),
            cwd: self.partial(),
            reads,
            writes: vec![self.partial()],
            hosts: Vec::new(),
        }
    }

    /// The hosts, those that are configured, and no other.
    pub(crate) fn reaching(&self, mut step: Step, hosts: &[Host]) -> Step {
        step.hosts = [hosts, &self.settings.hosts].concat();
        step.hosts.sort_unstable();
        step.hosts.dedup();
        step
    }

    fn env(&self) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let settings = &self.settings;
        let mut env: BTreeMap<String, String> = settings
            .env
            .iter()
            .filter(|(name, _value)| !name.eq_ignore_ascii_case("NPM_CONFIG_USERCONFIG"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let partial = self.partial();
        for (name, value) in [
            ("PATH", settings.path().to_owned()),
            ("HOME", text(partial.join("home"))),
            ("TMPDIR", text(partial.join("tmp"))),
            ("XDG_CACHE_HOME", text(self.cache())),
            ("XDG_CONFIG_HOME", text(settings.config_home())),
            ("NPM_CONFIG_USERCONFIG", text(settings.npmrc())),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
            ("PIP_REQUIRE_VIRTUALENV", "0".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("PYTHONSAFEPATH", "1".to_owned()),
            // Another Python would be one more thing from one more place.
            ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
            ("NO_COLOR", "1".to_owned()),
        ] {
            env.insert(name.to_owned(), value);
        }
        if settings.netrc().is_file() {
            env.insert("NETRC".to_owned(), text(settings.netrc()));
        }
        if self.pythons().is_dir() {
            env.insert("UV_PYTHON_INSTALL_DIR".to_owned(), text(self.pythons()));
        }
        env.into_iter().collect()
    }

    /// Where uv keeps the Pythons that it installed.
    fn pythons(&self) -> PathBuf {
        match self.settings.env.get("UV_PYTHON_INSTALL_DIR") {
            Some(path) => PathBuf::from(path),
            None => self.settings.home.join(".local/share/uv/python"),
        }
    }

    /// What a program is likely to need: the directory it lies in, and, once links are followed,
    /// the installation around it, though never all of the home directory.
    fn around(&self, program: &Path) -> Vec<PathBuf> {
        let mut around: Vec<PathBuf> = program.parent().map(Path::to_owned).into_iter().collect();
        if let Ok(real) = program.canonicalize()
            && let Some(directory) = real.parent()
        {
            around.push(prefix(directory, &self.settings.home));
        }
        around
    }
}

/// `/opt/node` for `/opt/node/bin`, and likewise for a version manager's `shims`; the directory itself where that would be the home directory, a
/// part of the system that holds everything, or none.
pub(crate) fn prefix(directory: &Path, home: &Path) -> PathBuf {
    let parent = directory.parent().filter(|parent| {
        (directory.ends_with("bin") || directory.ends_with("shims"))
            && !home.starts_with(parent)
            && **parent != *home.join(".local")
            && parent.components().count() > 2
    });
    parent.unwrap_or(directory).to_owned()
}
