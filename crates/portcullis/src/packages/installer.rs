//! Installs packages, and says what servers that are packages are started as.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_mcp::ServerName;
use portcullis_package::{
    Accepted, Check, Host, Installed, Launcher, Recipe, Settings, Shelf, Step, Verdict, install,
};
use portcullis_proxy::config::Server;
use portcullis_proxy::upstream::{Local, Preparation, Start};
use tracing::info;

use super::{Packages, Refused, host, step};
use crate::config::Config;
use crate::environment::Environment;
use crate::profile;

/// How long an install may take, from the first step to the last.
const INSTALL_MAX: Duration = Duration::from_mins(10);

/// What installs are made by.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Starts the installers, and lets them out.
    pub local: Local,
    /// Where packages are kept.
    pub packages: Packages,
    /// The gateway's environment, of which installers get what configures them.
    pub environment: BTreeMap<String, String>,
    /// The user's home directory, where their files are.
    pub home: Option<PathBuf>,
    /// Hosts that files of packages come from, besides the registries.
    pub hosts: Vec<Host>,
    /// What no installer sees: the gateway's state and its configuration.
    pub hidden: Vec<PathBuf>,
}

impl Parts {
    /// For a gateway of `config` with the state directory `state`.
    pub(crate) fn new(
        local: Local,
        state: &Path,
        config: &Config,
        environment: &Environment,
    ) -> Self {
        let hosts = config.packages.hosts.iter();
        let hidden = std::iter::once(state.to_owned()).chain(config.file.clone());
        Self {
            local,
            packages: Packages::of(state),
            environment: environment.text(),
            home: profile::home(environment).map(ToOwned::to_owned),
            hosts: hosts.filter_map(|written| host(written)).collect(),
            hidden: hidden.collect(),
        }
    }
}

/// Installs the package of one server.
#[derive(Clone)]
pub(crate) struct Installer {
    parts: Parts,
    name: ServerName,
    launcher: Launcher,
    settings: Settings,
    shelf: Shelf,
}

impl Installer {
    /// For the server `name`, whose command is `launcher`.
    pub(crate) fn new(
        parts: Parts,
        name: &ServerName,
        launcher: Launcher,
        server: &Server,
    ) -> Result<Self, Refused> {
        // Registries are sometimes configured in the entry of the server.
        let environment = parts.environment.iter().chain(&server.env);
        let environment = environment.map(|(name, value)| (name.clone(), value.clone()));
        let home = parts.home.as_ref().unwrap_or(&parts.packages.directory);
        let mut settings = Settings::new(environment, home);
        settings.hosts.clone_from(&parts.hosts);
        settings.install_scripts = server.sandbox.install_scripts;
        Ok(Self {
            shelf: parts.packages.shelf(name.as_str())?,
            name: name.clone(),
            parts,
            launcher,
            settings,
        })
    }

    /// What is done before each start of the server.
    pub(crate) fn preparation(self) -> Preparation {
        let of = format!("{self:?}");
        let installer = Arc::new(self);
        Preparation::new(of, move || {
            let installer = Arc::clone(&installer);
            Box::pin(async move { Ok(installer.start().await?) })
        })
    }

    /// What the server is started as. Installs its package first if it is not there.
    async fn start(&self) -> Result<Start, Refused> {
        let installed = match self.check().await? {
            Check::Ready(installed) => *installed,
            Check::Changed(changed) => return Err(changed.into()),
            Check::Absent => self.first().await?,
        };
        let (program, args) = installed.command(&self.launcher.args);
        Ok(Start {
            program: program.to_string_lossy().into_owned(),
            args,
            reads: installed.reads,
        })
    }

    /// Looks at every file, which takes long enough to be done apart from the other tasks.
    async fn check(&self) -> Result<Check, Refused> {
        let Self {
            launcher, shelf, ..
        } = self.clone();
        let record = self.parts.packages.record.clone();
        let checking = tokio::task::spawn_blocking(move || {
            let accepted = Accepted::load(&record)?;
            Ok::<_, Refused>(shelf.check(&launcher, &accepted)?)
        });
        checking.await?
    }

    /// Installs the package. The first of a server is accepted: whoever configured it asked for it.
    async fn first(&self) -> Result<Installed, Refused> {
        let installed = self.install().await?;
        let (server, now_ms) = (self.name.as_str(), crate::clock::now_ms());
        let verdict = Accepted::change(&self.parts.packages.record, |accepted| {
            let verdict = accepted.verify(server, &installed)?;
            if verdict == Verdict::First {
                accepted.accept(server, &installed, now_ms);
            }
            Ok::<_, Refused>(verdict)
        });
        if verdict?? == Verdict::First {
            let Installed {
                name,
                version,
                integrity,
                ..
            } = &installed;
            info!(
                server,
                package = name,
                version,
                integrity,
                "accepted the server's package, the first"
            );
        }
        Ok(installed)
    }

    /// Installs the package beside those that are there, and accepts nothing.
    pub(crate) async fn install(&self) -> Result<Installed, Refused> {
        let package = self.launcher.spec();
        info!(server = %self.name, package, "installing the server's package");
        let recipe = Recipe::new(&self.launcher, self.settings.clone(), &self.shelf)?;
        // What runs a step owns all that it needs, so that it can be awaited on any thread.
        let (parts, name) = (Arc::new(self.parts.clone()), self.name.clone());
        let run = move |step: &Step| {
            let (parts, name, step) = (Arc::clone(&parts), name.clone(), step.clone());
            async move { step::run(&parts.local, &name, &parts.hidden, &step).await }
        };
        let installing = install(&recipe, crate::clock::now_ms(), run);
        match tokio::time::timeout(INSTALL_MAX, installing).await {
            Ok(installed) => installed.map_err(|error| Refused::Install(Box::new(error))),
            Err(_elapsed) => Err(Refused::TooLong(INSTALL_MAX.as_secs())),
        }
    }
}

/// All that decides what is started; environments may hold secrets and are not shown.
impl fmt::Debug for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts {
            packages, hosts, ..
        } = &self.parts;
        f.debug_struct("Installer")
            .field("name", &self.name)
            .field("launcher", &self.launcher)
            .field("install_scripts", &self.settings.install_scripts)
            .field("packages", packages)
            .field("hosts", hosts)
            .finish_non_exhaustive()
    }
}
