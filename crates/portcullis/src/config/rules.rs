//! What must hold between the values of a configuration, beyond their types.

mod sandbox;
mod server;

use http::uri::Authority;
use portcullis_pipeline::InvalidScope;
use portcullis_proxy::InvalidWebhook;
use portcullis_proxy::config::{Limits, Listen};
use portcullis_proxy::units::{Bytes, Duration};
use toml::Spanned;
use url::{Host, Url};

use super::document::{Document, Path};
use super::mistakes::{Mistake, nearest};
use super::policy::Webhook;
use super::secrets::Hidden;
use super::{Config, Egress};

/// Fewest characters of a client's token.
const TOKEN_CHARS_MIN: usize = 32;

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
