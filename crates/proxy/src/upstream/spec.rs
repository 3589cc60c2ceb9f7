//! What is known of a server before it is reached: its address or command, and the bounds on it.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_egress::Allowance;
use portcullis_mcp::ServerName;
use portcullis_sandbox::{Command, Confinement};
use url::Url;

use super::preparation::Preparation;
use crate::config::auth::InvalidAuth;
use crate::config::sandbox::Sandbox;
use crate::config::{EraSetting, HttpTransport, Limits, Server};

/// Variables of the gateway's own environment that every local server sees.
const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER"];

/// Header fields that the transport writes itself.
const RESERVED: [&str; 8] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "te",
    "transfer-encoding",
];

/// A server, and the bounds on what it may do.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The operator's name for it.
    pub name: ServerName,
    /// How to reach it.
    pub transport: Transport,
    /// Which era it speaks, if the operator knows.
    pub era: EraSetting,
    /// Longest silence within one request.
    pub timeout: Duration,
    /// Longest time for one request.
    pub timeout_max: Duration,
    /// How long a silent server is given to answer `server/discover`.
    pub probe_timeout: Duration,
    /// Requests in progress at a time.
    pub concurrency_max: usize,
    /// Largest message accepted.
    pub response_bytes_max: usize,
    /// Deepest nesting accepted.
    pub depth_max: usize,
    /// Most entries accepted in a list of tools, prompts or resources; upheld by the caller.
    pub list_entries_max: usize,
}

/// What a local server is granted: the most that it may touch and reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// What it may touch, and use up.
    pub confinement: Confinement,
    /// What it may reach over the network; of no effect where the confinement has no network.
    pub allowance: Allowance,
    /// What is done before each start; it may start another program than the command's.
    pub preparation: Option<Preparation>,
}

/// How to reach a server.
#[derive(Clone)]
pub enum Transport {
    /// A local process that speaks over its standard input and output, and what it is granted.
    Stdio(Command, Grants),
    /// A URL.
    Http {
        /// The MCP endpoint, `http` or `https`, without a fragment.
        url: Url,
        /// Header fields sent with each request; they may hold secrets.
        headers: HeaderMap,
        /// Which HTTP transport it speaks.
        kind: HttpTransport,
    },
}

/// Arguments and environment of a command, and header fields, may hold secrets: none is shown.
impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdio(command, _) => write!(f, "Stdio({})", command.program),
            Self::Http { url, .. } => {
                write!(f, "Http({})", url.origin().ascii_serialization())
            }
        }
    }
}

/// A server's settings that cannot work.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidServer {
    /// Neither or both of `command` and `url`.
    #[error("set either `command` or `url`")]
    Transport,
    /// A URL that cannot be used.
    #[error(
        "`url` must be an absolute `http` or `https` URL without user name, password and fragment"
    )]
    Url,
    /// A name that is no header field's.
    #[error("`headers`: `{0}` is not the name of a header field")]
    HeaderName(String),
    /// A header field that the gateway writes itself.
    #[error("`headers`: `{0}` is written by the gateway; remove it")]
    HeaderReserved(String),
    /// A value that cannot be sent.
    #[error("`headers`: the value of `{0}` cannot be sent; use printable ASCII")]
    HeaderValue(String),
    /// A setting that only makes sense for the other kind of server.
    #[error("`{0}` has no meaning for this kind of server; remove it")]
    Foreign(&'static str),
    /// HTTP+SSE does not exist in the modern era.
    #[error("`transport = \"sse\"` exists only in the legacy era; remove `era = \"modern\"`")]
    ModernSse,
    /// A credential that cannot be obtained.
    #[error(transparent)]
    Auth(#[from] InvalidAuth),
    /// No request could ever be sent.
    #[error("`{0}` must not be zero")]
    Zero(&'static str),
    /// Nobody has said what a local server is granted.
    #[error("it is not known what the server may touch; it is not started")]
    NoGrants,
}

impl Spec {
    /// Checks the settings of the server `name`. `grants` are those of a local server, for which `environment` looks up a
    /// variable of the gateway's own.
    pub fn build(
        name: ServerName,
        server: &Server,
        grants: Option<&Grants>,
        limits: &Limits,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidServer> {
        let transport = match (server.command.split_first(), &server.url) {
            (Some((program, args)), None) => {
                let grants = grants.ok_or(InvalidServer::NoGrants)?;
                Transport::Stdio(stdio(server, program, args, environment)?, grants.clone())
            }
            (None, Some(url)) => http(server, url)?,
            (Some(_), Some(_)) | (None, None) => return Err(InvalidServer::Transport),
        };
        for (setting, zero) in [
            ("timeout", server.timeout.get().is_zero()),
            ("timeout_max", server.timeout_max.get().is_zero()),
            ("probe_timeout", server.probe_timeout.get().is_zero()),
            ("concurrency_max", server.concurrency_max == 0),
        ] {
            if zero {
                return Err(InvalidServer::Zero(setting));
            }
        }
        Ok(Self {
            name,
            transport,
            era: server.era,
            timeout: server.timeout.get(),
            timeout_max: server.timeout_max.get(),
            probe_timeout: server.probe_timeout.get(),
            concurrency_max: server.concurrency_max,
            response_bytes_max: limits.response_bytes_max.get(),
            depth_max: limits.depth_max,
            list_entries_max: limits.list_entries_max,
        })
    }

    /// The limits on every message of this server.
    pub(super) fn limits(&self) -> portcullis_mcp::Limits {
        portcullis_mcp::Limits {
            bytes_max: self.response_bytes_max,
            depth_max: self.depth_max,
            ..portcullis_mcp::Limits::for_server()
        }
    }
}

fn stdio(
    server: &Server,
    program: &str,
    args: &[String],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Command, InvalidServer> {
    if !server.headers.is_empty() {
        return Err(InvalidServer::Foreign("headers"));
    }
    if server.auth.is_some() {
        return Err(InvalidServer::Foreign("auth"));
    }
    if server.transport != HttpTransport::Auto {
        return Err(InvalidServer::Foreign("transport"));
    }
    let mut env: Vec<(String, String)> = Vec::new();
    let passed = INHERITED
        .into_iter()
        .chain(server.pass_env.iter().map(String::as_str));
    for key in passed {
        if server.env.contains_key(key) || env.iter().any(|(known, _)| known == key) {
            continue;
        }
        if let Some(value) = environment(key) {
            env.push((key.to_owned(), value));
        }
    }
    env.extend(
        server
            .env
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    Ok(Command {
        program: program.to_owned(),
        args: args.to_vec(),
        env,
        cwd: server.cwd.clone(),
    })
}

fn http(server: &Server, url: &str) -> Result<Transport, InvalidServer> {
    for (setting, is_set) in [
        ("env", !server.env.is_empty()),
        ("pass_env", !server.pass_env.is_empty()),
        ("cwd", server.cwd.is_some()),
        ("sandbox", server.sandbox != Sandbox::default()),
    ] {
        if is_set {
            return Err(InvalidServer::Foreign(setting));
        }
    }
    if server.transport == HttpTransport::Sse && server.era == EraSetting::Modern {
        return Err(InvalidServer::ModernSse);
    }
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .filter(|url| url.fragment().is_none())
        .filter(|url| url.as_str().parse::<http::Uri>().is_ok())
        .ok_or(InvalidServer::Url)?;
    let own = match &server.auth {
        Some(auth) => {
            auth.settings(url.as_str())?;
            auth.headers()
        }
        None => Vec::new(),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &server.headers {
        let field: HeaderName = name
            .parse()
            .ok()
            .ok_or_else(|| InvalidServer::HeaderName(name.clone()))?;
        let is_own = RESERVED.contains(&field.as_str()) || own.contains(&field);
        if is_own || field.as_str().starts_with("mcp-") {
            return Err(InvalidServer::HeaderReserved(name.clone()));
        }
        let mut value = HeaderValue::from_str(value)
            .ok()
            .ok_or_else(|| InvalidServer::HeaderValue(name.clone()))?;
        value.set_sensitive(true);
        headers.insert(field, value);
    }
    Ok(Transport::Http {
        url,
        headers,
        kind: server.transport,
    })
}

#[cfg(test)]
mod tests;
