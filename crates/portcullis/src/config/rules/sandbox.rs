//! What must hold of the confinement of a local server.

use portcullis_package::{Launcher, LauncherError};
use portcullis_proxy::config::Server;
use portcullis_proxy::config::sandbox::Tier;

use super::Rules;
use crate::config::Packages;
use crate::config::document::Path;
use crate::profile::{self, elsewhere};

impl Rules<'_> {
    pub(super) fn sandbox(&mut self, name: &str, path: &Path, server: &Server, default_tier: Tier) {
        if server.command.is_empty() {
            return;
        }
        let settings = &server.sandbox;
        let tier = settings.tier.unwrap_or(default_tier);
        if settings.tier.is_some() {
            self.reason(path, tier, settings.reason.as_deref());
        }
        let is_confined = matches!(tier, Tier::Full | Tier::Confined);
        if is_confined && let Some(program) = elsewhere(server) {
            let path = Path::of(["servers", name, "command"]).index(0);
            let message =
                format!("`{program}` starts the server where the gateway cannot confine it");
            let hint = "if it is confined there, write `sandbox = { tier = \"external\", reason = \"…\" }`";
            self.value("bad-value", &path, &message, hint);
        }
        if is_confined && let Err(error) = Launcher::parse(&server.command) {
            let word = misplaced(&error, &server.command);
            let path = Path::of(["servers", name, "command"]).index(word);
            let hint = "the gateway installs the package apart from running it, so it has to understand each word before the server's own arguments";
            self.value("bad-value", &path, &error.to_string(), hint);
        }
        let hosts = settings.hosts.iter().flatten().enumerate();
        for (index, host) in hosts {
            if let Err(error) = host.parse::<portcullis_egress::Rule>() {
                let path = path.key("hosts").index(index);
                self.value("bad-value", &path, &error.to_string(), EXAMPLE);
            }
        }
        for (index, rule) in settings.egress.iter().enumerate() {
            if let Err(error) = profile::egress_rule(rule) {
                let path = path.key("egress").index(index);
                self.value("bad-value", &path, &error.to_string(), EXAMPLE);
            }
        }
        let reaches = settings.hosts.iter().flatten().count() + settings.egress.len();
        if tier == Tier::Confined && reaches > 0 {
            let message = "the tier `confined` cannot guard a network";
            let hint = "use the tier `full`, or take the hosts out";
            self.key("conflict", path, message, hint);
        }
    }

    /// Where packages come from has names.
    pub(super) fn packages(&mut self, packages: &Packages) {
        for (index, host) in packages.hosts.iter().enumerate() {
            if crate::packages::host(host).is_none() {
                let path = Path::of(["packages", "hosts"]).index(index);
                let message = format!("{} is not a host", self.shown(&path, host));
                let hint = "write it like `files.example.com` or `files.example.com:8443`";
                self.value("bad-value", &path, &message, hint);
            }
        }
    }

    /// Who is not confined by the gateway has a reason.
    pub(super) fn reason(&mut self, path: &Path, tier: Tier, reason: Option<&str>) {
        let needs_reason = matches!(tier, Tier::External | Tier::Off);
        if needs_reason && reason.is_none_or(|reason| reason.trim().is_empty()) {
            let message = "nobody says why the gateway does not confine the server";
            let hint = "write a `reason` beside the `tier`: it is recorded";
            self.value("missing-key", &path.key("tier"), message, hint);
        }
    }
}

/// Which word of `command` an error is about: the program where it is about none.
fn misplaced(error: &LauncherError, command: &[String]) -> usize {
    let text = match error {
        LauncherError::Option { option, .. }
        | LauncherError::Shell { option, .. }
        | LauncherError::Ambiguous { option }
        | LauncherError::NoValue { option, .. } => option,
        LauncherError::Spec { spec, .. } => spec,
        LauncherError::Program { program } => program,
        LauncherError::Python { python } => python,
        LauncherError::NoPackage { .. } => return 0,
    };
    let mut words = command.iter();
    let is_about = |word: &String| {
        word == text
            || word
                .split_once('=')
                .is_some_and(|(option, value)| option == text || value == text)
    };
    words.position(is_about).unwrap_or_default()
}

const EXAMPLE: &str = "write it like `api.example.com`, `*.example.com`, `10.0.0.0/8:5432` or `http://intranet.example`";
