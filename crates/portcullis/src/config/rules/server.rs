//! What must hold of the entry of one server.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use portcullis_proxy::config::Server;
use portcullis_proxy::config::auth::InvalidAuth;
use portcullis_proxy::config::sandbox::Tier;
use toml::Spanned;
use toml::de::DeValue;
use url::{Host, Url};

use super::Rules;
use crate::config::document::Path;
use crate::config::mistakes::{Mistake, nearest};

/// Settings that mean something for a server of one kind only.
const LOCAL_ONLY: [&str; 5] = ["command", "env", "pass_env", "cwd", "sandbox"];
const REMOTE_ONLY: [&str; 4] = ["url", "headers", "auth", "transport"];

/// Header fields that the gateway itself writes.
const OWN_HEADERS: [&str; 12] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Rules<'_> {
    pub(super) fn server(&mut self, name: &str, server: &Server, default_tier: Tier) {
        let path = Path::of(["servers", name]);
        if !is_server_name(name) {
            let message = format!("`{name}` cannot be a server's name");
            let hint = "start with a small letter; then small letters, digits and `-`, at most 32 characters";
            self.key("bad-name", &path, &message, hint);
        }
        let local = self.document.has(&path.key("command"));
        let remote = self.document.has(&path.key("url"));
        match (local, remote) {
            (true, true) => {
                let message = format!("`{name}` has both a `command` and a `url`");
                self.key(
                    "conflict",
                    &path.key("url"),
                    &message,
                    "keep the one by which it is reached",
                );
            }
            // A misspelt key is named as such.
            (false, false) if self.has_nearly(&path, ["command", "url"]) => {}
            (false, false) => {
                let message = format!("`{name}` has neither a `command` nor a `url`");
                let hint = "write `command = [\"PROGRAM\", \"ARGUMENT\"]` for a local server, or `url = \"https://…\"`";
                self.key("missing-key", &path, &message, hint);
            }
            (true, false) => self.foreign(&path, &REMOTE_ONLY, "`url`"),
            (false, true) => self.foreign(&path, &LOCAL_ONLY, "`command`"),
        }
        self.command(name, &path, server);
        self.sandbox(name, &path.key("sandbox"), server, default_tier);
        if let Some(url) = &server.url {
            self.url(&path.key("url"), url);
        }
        self.headers(&path.key("headers"), server);
        self.auth(name, &path.key("auth"), server);
        self.times(&path, server);
    }

    /// Whether the table at `path` has a key that is nearly one of `names`.
    fn has_nearly(&self, path: &Path, names: [&str; 2]) -> bool {
        match self.document.value(path).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => table
                .keys()
                .any(|key| nearest(key.get_ref(), names).is_some()),
            _ => false,
        }
    }

    /// Notes settings of a server of the other kind.
    fn foreign(&mut self, path: &Path, keys: &[&str], kind: &str) {
        for key in keys {
            let path = path.key(key);
            if self.document.has(&path) {
                let message = format!("`{key}` means nothing for a server without {kind}");
                self.key("conflict", &path, &message, "take it out");
            }
        }
    }

    fn command(&mut self, name: &str, path: &Path, server: &Server) {
        let command = path.key("command");
        let hint = "write `command = [\"PROGRAM\", \"ARGUMENT\"]`";
        match server.command.first() {
            None if self.is_empty_array(&command) => {
                self.value(
                    "bad-value",
                    &command,
                    &format!("the `command` of `{name}` is empty"),
                    hint,
                );
            }
            Some(program) if program.trim().is_empty() => {
                let message = format!("the `command` of `{name}` has no program");
                self.value("bad-value", &command.index(0), &message, hint);
            }
            Some(program)
                if server.command.len() == 1 && program.contains(' ') && !program.contains('/') =>
            {
                let message = format!("the program of `{name}` has a space in its name");
                let words: Vec<String> = program
                    .split_whitespace()
                    .map(|w| format!("{w:?}"))
                    .collect();
                let span = self.document.value_span(&command.index(0));
                let hidden = self.hidden.contains(&span);
                let mistake = Mistake::warning("bad-value", span, message, "no shell splits it");
                self.found.push(if hidden {
                    mistake.hint(hint)
                } else {
                    mistake.hint(format!("did you mean `command = [{}]`?", words.join(", ")))
                });
            }
            _ => {}
        }
        for (i, argument) in server.command.iter().enumerate() {
            if argument.contains('\0') {
                let message = "a program's argument cannot hold a NUL character";
                self.value("bad-value", &command.index(i), message, "take it out");
            }
        }
        let hint = "a variable's name is not empty and has neither `=` nor a NUL character";
        for (variable, value) in &server.env {
            let path = path.key("env").key(variable);
            if !is_variable(variable) {
                let message = format!("`{variable}` cannot be an environment variable");
                self.key("bad-name", &path, &message, hint);
            }
            if value.contains('\0') {
                let message = format!("the value of `{variable}` has a NUL character");
                self.value("bad-value", &path, &message, "take it out");
            }
        }
        for (i, variable) in server.pass_env.iter().enumerate() {
            let path = path.key("pass_env").index(i);
            if !is_variable(variable) {
                let shown = self.shown(&path, variable);
                self.value(
                    "bad-name",
                    &path,
                    &format!("{shown} cannot be an environment variable"),
                    hint,
                );
            }
        }
    }

    fn is_empty_array(&self, path: &Path) -> bool {
        let value = self.document.value(path).map(Spanned::get_ref);
        matches!(value, Some(DeValue::Array(array)) if array.is_empty())
    }

    fn url(&mut self, path: &Path, text: &str) {
        // A user name and a password may stand before the host.
        let shown = if text.contains('@') {
            "this".to_owned()
        } else {
            self.shown(path, text)
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(cause) => {
                let message = format!("{shown} is not a URL: {cause}");
                return self.value("bad-value", path, &message, "write `https://HOST/PATH`");
            }
        };
        if !matches!(url.scheme(), "https" | "http") {
            let message = format!("a server cannot be reached by `{}`", url.scheme());
            return self.value("bad-value", path, &message, "write `https://HOST/PATH`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "a URL must not hold a user name or a password";
            let hint = "put the credential into `headers`, as `Authorization = \"Bearer ${NAME}\"`";
            self.value("bad-value", path, message, hint);
        }
        if url.fragment().is_some() {
            let message = "a URL's part after `#` is never sent";
            self.value("bad-value", path, message, "take it out");
        }
        if url.scheme() == "http" {
            self.plain(path, &url);
        }
    }

    fn plain(&mut self, path: &Path, url: &Url) {
        let hint = "write `https://`; plain `http://` is for this machine alone";
        let message = "anyone on the way can read and change what is sent without TLS";
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => {
                return;
            }
            _ => {
                let span = self.document.value_span(path);
                let mistake = Mistake::warning("plain-http", span, message, "here");
                return self.found.push(mistake.hint(hint));
            }
        };
        if !address.to_canonical().is_loopback() {
            self.value("plain-http", path, message, hint);
        }
    }

    fn headers(&mut self, path: &Path, server: &Server) {
        let mut seen: Vec<(HeaderName, &str)> = Vec::new();
        for (written, value) in &server.headers {
            let path = path.key(written);
            let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
                let message = format!("`{written}` cannot be a header field's name");
                let hint = "use letters, digits and `-`, such as `Authorization` or `X-Api-Key`";
                self.key("bad-name", &path, &message, hint);
                continue;
            };
            if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("mcp-") {
                let message = format!("the gateway itself writes the header field `{written}`");
                self.key("conflict", &path, &message, "take it out");
            }
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == name) {
                let message = format!("`{written}` and `{other}` are one header field");
                self.key("duplicate", &path, &message, "keep one of them");
            }
            if HeaderValue::from_str(value).is_err() {
                let message = format!(
                    "the value of `{written}` has a character that a header field cannot have"
                );
                let hint = "use printable ASCII characters, and no line break";
                self.value("bad-value", &path, &message, hint);
            }
            seen.push((name, written));
        }
    }

    fn auth(&mut self, name: &str, path: &Path, server: &Server) {
        let (Some(auth), Some(url)) = (&server.auth, &server.url) else {
            return;
        };
        // A URL that cannot be used has been noted.
        if Url::parse(url).is_ok()
            && let Err(InvalidAuth { setting, fault }) = auth.settings(url)
        {
            let path = setting
                .split('.')
                .fold(path.clone(), |path, key| path.key(key));
            let message = format!("`{setting}` {fault}");
            let hint = "see `auth` in the reference of the configuration";
            self.value("bad-value", &path, &message, hint);
        }
        for field in server.headers.keys() {
            let is_own = HeaderName::from_bytes(field.as_bytes())
                .is_ok_and(|field| auth.headers().contains(&field));
            if is_own {
                let path = Path::of(["servers", name, "headers"]).key(field);
                let message = format!("`auth` of `{name}` writes the header field `{field}`");
                self.key("conflict", &path, &message, "keep one of them");
            }
        }
        for keys in [
            &["client", "secret"][..],
            &["client", "key"],
            &["provider", "client", "secret"],
            &["provider", "client", "key"],
        ] {
            let path = keys.iter().fold(path.clone(), |path, key| path.key(key));
            let spelled_out = self.document.value(&path).map(Spanned::span);
            if let Some(span) = spelled_out.filter(|span| !self.hidden.contains(span)) {
                let message = format!("a secret of `{name}` is written out in this file");
                let hint = "keep it elsewhere, and write `${NAME}` or `${file:PATH}`";
                self.found
                    .push(Mistake::warning("secret-in-file", span, message, "here").hint(hint));
            }
        }
    }

    fn times(&mut self, path: &Path, server: &Server) {
        let times = [
            ("timeout", server.timeout),
            ("timeout_max", server.timeout_max),
            ("probe_timeout", server.probe_timeout),
        ];
        for (key, time) in times {
            self.some_time(&path.key(key), time);
        }
        if server.timeout > server.timeout_max {
            let message = format!(
                "`timeout` ({}) is longer than `timeout_max` ({})",
                server.timeout, server.timeout_max
            );
            let set = if self.document.has(&path.key("timeout")) {
                "timeout"
            } else {
                "timeout_max"
            };
            let hint =
                "`timeout` bounds one silence of the server, `timeout_max` the whole request";
            self.value("conflict", &path.key(set), &message, hint);
        }
        self.some(&path.key("concurrency_max"), server.concurrency_max);
    }
}

fn is_server_name(name: &str) -> bool {
    name.parse::<portcullis_mcp::ServerName>().is_ok()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
