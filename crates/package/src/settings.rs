//! What of the user's environment an install may see.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::step::Host;

/// Beginnings of the names of variables that configure installers. Others, `NODE_OPTIONS` among
/// them, stay out: they could make an installer run something.
const PREFIXES: [&str; 4] = ["npm_config_", "pip_", "uv_", "ssl_cert_"];
/// Whole names: what `.npmrc` files commonly refer to, authorities, and the way out.
const NAMES: [&str; 9] = [
    "PATH",
    "NETRC",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "NPM_TOKEN",
    "NODE_AUTH_TOKEN",
    "XDG_CONFIG_HOME",
    "LANG",
    "LC_ALL",
];
/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The user's configuration of package managers, and the gateway's own settings for them.
#[derive(Clone)]
pub struct Settings {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) home: PathBuf,
    /// Hosts that files of packages come from, beside those that are found out: for indexes whose
    /// files lie on several hosts.
    pub hosts: Vec<Host>,
    /// Lets npm packages run their install scripts, in the confinement of the step.
    pub install_scripts: bool,
}

impl Settings {
    /// Takes from `environment` what configures npm, pip and uv, and from `home` their files:
    /// `.npmrc`, `.netrc`, and below `.config` (or `XDG_CONFIG_HOME`) `pip/pip.conf` and
    /// `uv/uv.toml`.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>, home: &Path) -> Self {
        let known = |name: &str| {
            let lower = name.to_ascii_lowercase();
            NAMES.contains(&name) || PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
        };
        Self {
            env: environment
                .into_iter()
                .filter(|(name, _value)| known(name))
                .collect(),
            home: home.to_owned(),
            hosts: Vec::new(),
            install_scripts: false,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.env.get("PATH").map_or(DEFAULT_PATH, String::as_str)
    }

    /// An executable file on the `PATH`; relative entries are not looked at.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path()
            .split(':')
            .map(Path::new)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(program))
            .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
    }

    /// The value of a variable whose name installers read in any case, as `npm_config_*`.
    pub(crate) fn any_case(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find(|(other, _value)| other.eq_ignore_ascii_case(name))
            .map(|(_name, value)| value.as_str())
    }

    /// The directory of configuration files (XDG base directories).
    pub(crate) fn config_home(&self) -> PathBuf {
        match self.env.get("XDG_CONFIG_HOME").map(PathBuf::from) {
            Some(path) if path.is_absolute() => path,
            _other => self.home.join(".config"),
        }
    }

    /// Files of the user that installers read: those that exist.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let config = self.config_home();
        let mut files = vec![
            self.npmrc(),
            self.netrc(),
            config.join("pip/pip.conf"),
            config.join("uv/uv.toml"),
        ];
        for name in [
            "NPM_CONFIG_GLOBALCONFIG",
            "NPM_CONFIG_CAFILE",
            "PIP_CONFIG_FILE",
            "PIP_CERT",
            "UV_CONFIG_FILE",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NODE_EXTRA_CA_CERTS",
            "REQUESTS_CA_BUNDLE",
        ] {
            files.extend(self.any_case(name).map(PathBuf::from));
        }
        files.retain(|file| file.is_absolute() && file.exists());
        files
    }

    pub(crate) fn npmrc(&self) -> PathBuf {
        self.any_case("NPM_CONFIG_USERCONFIG")
            .map_or_else(|| self.home.join(".npmrc"), PathBuf::from)
    }

    pub(crate) fn netrc(&self) -> PathBuf {
        self.env
            .get("NETRC")
            .map_or_else(|| self.home.join(".netrc"), PathBuf::from)
    }
}

/// Tokens of registries are among the values, so they are not shown.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("env_names", &self.env.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .field("hosts", &self.hosts)
            .field("install_scripts", &self.install_scripts)
            .finish()
    }
}
