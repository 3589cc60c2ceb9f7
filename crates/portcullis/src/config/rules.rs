//! What must hold between the values of a configuration, beyond their types.

mod sandbox;

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderName, HeaderValue};
use portcullis_pipeline::InvalidScope;
use portcullis_proxy::InvalidWebhook;
use portcullis_proxy::config::auth::InvalidAuth;
use portcullis_proxy::config::sandbox::Tier;
use portcullis_proxy::config::{Limits, Listen, Server};
use portcullis_proxy::units::{Bytes, Duration};
use toml::Spanned;
use toml::de::DeValue;
use url::{Host, Url};

use super::document::{Document, Path};
use super::mistakes::{Mistake, nearest};
use super::policy::Webhook;
use super::secrets::Hidden;
use super::{Config, Egress};

/// Fewest characters of a client's token.
const TOKEN_CHARS_MIN: usize = 32;

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

/// Everything that does not hold.
pub(crate) fn check(config: &Config, document: &Document<'_>, hidden: &Hidden) -> Vec<Mistake> {
    let mut rules = Rules {
        document,
        hidden,
        found: Vec::new(),
    };
    let nobody = config.clients.is_empty() && config.oauth.is_none();
    rules.listen(&config.listen, nobody && config.listen.public_url.is_none());
    rules.clients(config);
    rules.scopes(config);
    for (name, server) in &config.servers {
        rules.server(name, server, config.sandbox.tier);
    }
    rules.policy(config);
    if config.servers.is_empty() && !document.has(&Path::of(["servers"])) {
        let hint = "add a table such as `[servers.files]` with a `command` or a `url`";
        let message = "no servers: there is nothing to stand in front of";
        rules
            .found
            .push(Mistake::warning("no-servers", 0..0, message, "").hint(hint));
    }
    rules.reason(
        &Path::of(["sandbox"]),
        config.sandbox.tier,
        config.sandbox.reason.as_deref(),
    );
    rules.packages(&config.packages);
    rules.egress(&config.egress);
    rules.limits(&config.limits);
    rules.found
}

struct Rules<'a> {
    document: &'a Document<'a>,
    hidden: &'a Hidden,
    found: Vec<Mistake>,
}

impl Rules<'_> {
    fn value(&mut self, code: &'static str, path: &Path, message: &str, hint: &str) {
        let span = self.document.value_span(path);
        self.found
            .push(Mistake::error(code, span, message, "here").hint(hint));
    }

    fn key(&mut self, code: &'static str, path: &Path, message: &str, hint: &str) {
        let span = self.document.key_span(path);
        self.found
            .push(Mistake::error(code, span, message, "here").hint(hint));
    }

    /// `text` as it may be shown, given that it stands at `path`.
    fn shown(&self, path: &Path, text: &str) -> String {
        let hidden = self
            .document
            .value(path)
            .is_some_and(|value| self.hidden.contains(&value.span()));
        if hidden {
            "what the reference stands for".to_owned()
        } else {
            format!("`{text}`")
        }
    }

    fn listen(&mut self, listen: &Listen, nobody: bool) {
        let path = Path::of(["listen", "address"]);
        let address = listen.address;
        if !address.ip().to_canonical().is_loopback() && (listen.tls.is_none() || nobody) {
            let needs = match (listen.tls.is_none(), nobody) {
                (true, true) => "`listen.tls`, and an `[oauth]` table or an entry in `clients`",
                (true, false) => "`listen.tls`",
                (false, _) => "an `[oauth]` table or an entry in `clients`",
            };
            let message =
                format!("`{address}` can be reached from other machines and needs {needs}");
            let hint = "add them, or listen on `127.0.0.1`";
            self.value("open-listener", &path, &message, hint);
        }
        if let Some(base) = &listen.public_url
            && !is_base(base)
        {
            let path = Path::of(["listen", "public_url"]);
            let shown = self.shown(&path, base);
            let message = format!("{shown} is not an address that tokens can be for");
            let hint = "write `https://gateway.example`, or `http` with a loopback address: a host, perhaps a port, and no path";
            self.value("bad-value", &path, &message, hint);
        }
        for (i, host) in listen.hosts.iter().enumerate() {
            if !is_authority(host) {
                let path = Path::of(["listen", "hosts"]).index(i);
                let shown = self.shown(&path, host);
                let message = format!("{shown} is not a host name, alone or with a port");
                let hint =
                    "write `gateway.example` or `gateway.example:8443`, without a scheme or a path";
                self.value("bad-value", &path, &message, hint);
            }
        }
        for (i, origin) in listen.origins.iter().enumerate() {
            if !is_origin(origin) {
                let path = Path::of(["listen", "origins"]).index(i);
                let shown = self.shown(&path, origin);
                let message = format!("{shown} is not an origin");
                let hint = "write `https://app.example` or `https://app.example:8443`: no path, and no pattern";
                self.value("bad-value", &path, &message, hint);
            }
        }
    }

    fn egress(&mut self, egress: &Egress) {
        for (i, address) in egress.name_servers.iter().enumerate() {
            if address.port() == 0 || address.ip().is_unspecified() {
                let path = Path::of(["egress", "name_servers"]).index(i);
                let message = format!("`{address}` is no address that a name server has");
                let hint = "write its address and port, such as `127.0.0.1:53`";
                self.value("bad-value", &path, &message, hint);
            }
        }
    }

    fn scopes(&mut self, config: &Config) {
        for (name, scope) in &config.scopes {
            for (i, server) in scope.servers.iter().enumerate() {
                if !config.servers.contains_key(server) {
                    let path = Path::of(["scopes", name, "servers"]).index(i);
                    let shown = self.shown(&path, server);
                    let message = format!("{shown} is not one of the servers");
                    let meant = nearest(server, config.servers.keys().map(String::as_str));
                    let hint = match meant {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => "name a server of this file".to_owned(),
                    };
                    self.value("unknown-server", &path, &message, &hint);
                }
            }
        }
        if let Err(invalid) = crate::access::scope_map(&config.scopes) {
            let (InvalidScope::Pattern { scope, .. }
            | InvalidScope::Needs { scope, .. }
            | InvalidScope::Wildcard(scope)) = &invalid;
            let path = Path::of(["scopes", scope]);
            let hint = "a scope has a name that says what it opens, and patterns `SERVER/NAME`";
            self.value("bad-scope", &path, &invalid.to_string(), hint);
        }
    }

    fn policy(&mut self, config: &Config) {
        if let Some(webhook) = &config.policy.approvals.webhook {
            self.webhook(webhook);
        }
        for (name, server) in &config.policy.servers {
            let path = Path::of(["policy", "servers", name]);
            if !config.servers.contains_key(name) {
                let message = format!("`{name}` is not one of the servers");
                let meant = nearest(name, config.servers.keys().map(String::as_str));
                let hint = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "name a server of this file".to_owned(),
                };
                self.key("unknown-server", &path, &message, &hint);
            }
            if let Some(preset) = &server.preset
                && portcullis_constraint::preset::load(preset).is_err()
                && preset != "none"
            {
                let message = format!("there is no preset `{preset}`");
                let names = portcullis_constraint::preset::names();
                let hint = match nearest(preset, names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "leave it out to have it found by the server's command".to_owned(),
                };
                self.value("unknown-preset", &path.key("preset"), &message, &hint);
            }
        }
    }

    fn webhook(&mut self, webhook: &Webhook) {
        let path = Path::of(["policy", "approvals", "webhook"]);
        let (key, message, hint) = match portcullis_proxy::Webhook::check(
            &webhook.url,
            &webhook.secret,
        ) {
            Ok(()) => return,
            Err(InvalidWebhook::Address) => (
                "url",
                "the webhook's address cannot be used",
                "write `https://hooks.example/portcullis`, or `http` with a loopback address",
            ),
            Err(InvalidWebhook::Secret) => (
                "secret",
                "the webhook's secret is not `whsec_` and 24 to 64 bytes in base64",
                "make one with `echo whsec_$(openssl rand -base64 32)`, and write `${NAME}` or `${file:PATH}`",
            ),
        };
        self.value("bad-value", &path.key(key), message, hint);
    }

    fn clients(&mut self, config: &Config) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (name, client) in &config.clients {
            let path = Path::of(["clients", name]);
            let fits = (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if !fits {
                let message = format!("`{name}` cannot be a client's name");
                let hint = "use letters, digits, `.`, `_` and `-`, at most 64 of them";
                self.key("bad-name", &path, &message, hint);
            }
            let path = path.key("token");
            let token = client.token.as_str();
            let hint =
                "make one with `openssl rand -base64 32`, and write `${NAME}` or `${file:PATH}`";
            if token.chars().count() < TOKEN_CHARS_MIN {
                let message =
                    format!("the token of `{name}` is shorter than {TOKEN_CHARS_MIN} characters");
                self.value("weak-token", &path, &message, hint);
            } else if !is_bearer(token) {
                let message = format!(
                    "the token of `{name}` has a character that a bearer token cannot have"
                );
                let hint = "use letters, digits, `-`, `.`, `_`, `~`, `+`, `/` and a trailing `=`";
                self.value("bad-value", &path, &message, hint);
            }
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == token) {
                let message = format!("`{name}` has the same token as `{other}`");
                self.value(
                    "duplicate",
                    &path,
                    &message,
                    "give each client a token of its own",
                );
            }
            seen.push((name, token));
            let spelled_out = self.document.value(&path).map(Spanned::span);
            if let Some(span) = spelled_out.filter(|span| !self.hidden.contains(span)) {
                let message = format!("the token of `{name}` is written out in this file");
                let hint = "keep it elsewhere, and write `${NAME}` or `${file:PATH}`";
                self.found
                    .push(Mistake::warning("secret-in-file", span, message, "here").hint(hint));
            }
        }
    }

    fn server(&mut self, name: &str, server: &Server, default_tier: Tier) {
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

    fn limits(&mut self, limits: &Limits) {
        let path = Path::of(["limits"]);
        // Named one by one, so that a new limit stops the build here.
        let Limits {
            request_bytes_max,
            response_bytes_max,
            depth_max,
            head_bytes_max,
            connections_max,
            requests_max,
            sessions_max,
            streams_max,
            parked_max,
            list_entries_max,
            head_timeout,
            body_timeout,
            idle_timeout,
            session_idle_timeout,
            parked_timeout,
            shutdown_timeout: _,
        } = limits;
        let bytes = |size: &Bytes| size.get();
        for (key, number) in [
            ("request_bytes_max", bytes(request_bytes_max)),
            ("response_bytes_max", bytes(response_bytes_max)),
            ("depth_max", *depth_max),
            ("head_bytes_max", bytes(head_bytes_max)),
            ("connections_max", *connections_max),
            ("requests_max", *requests_max),
            ("sessions_max", *sessions_max),
            ("streams_max", *streams_max),
            ("parked_max", *parked_max),
            ("list_entries_max", *list_entries_max),
        ] {
            self.some(&path.key(key), number);
        }
        for (key, time) in [
            ("head_timeout", head_timeout),
            ("body_timeout", body_timeout),
            ("idle_timeout", idle_timeout),
            ("session_idle_timeout", session_idle_timeout),
            ("parked_timeout", parked_timeout),
        ] {
            self.some_time(&path.key(key), *time);
        }
    }

    fn some(&mut self, path: &Path, number: usize) {
        if number == 0 {
            let message = format!("`{path}` of 0 would refuse everything");
            self.value(
                "bad-value",
                path,
                &message,
                "write a larger number, or take it out for the default",
            );
        }
    }

    fn some_time(&mut self, path: &Path, time: Duration) {
        if time.get().is_zero() {
            let message = format!("`{path}` of no time at all would refuse everything");
            self.value(
                "bad-value",
                path,
                &message,
                "write a longer time, or take it out for the default",
            );
        }
    }
}

fn is_server_name(name: &str) -> bool {
    name.parse::<portcullis_mcp::ServerName>().is_ok()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// `host` or `host:port`.
fn is_authority(text: &str) -> bool {
    !text.contains(['@', '*'])
        && text
            .parse::<Authority>()
            .is_ok_and(|a| !a.host().is_empty() && port_is_number(&a))
}

fn port_is_number(authority: &Authority) -> bool {
    let after_host = authority
        .as_str()
        .strip_prefix(authority.host())
        .unwrap_or_default();
    after_host.is_empty() || authority.port_u16().is_some()
}

/// Whether a text is a base that can be an issuer (RFC 8414 §2): `https`, or `http` of this machine.
fn is_base(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    is_safe && is_bare && url.username().is_empty() && url.password().is_none() && url.has_host()
}

/// `scheme://host[:port]`, RFC 6454 section 6.2.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && is_authority(authority)
}

/// The `b64token` of RFC 6750 section 2.1.
fn is_bearer(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}
