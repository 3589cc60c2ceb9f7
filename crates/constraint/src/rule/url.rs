//! URLs, by the WHATWG standard's parser.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::domain::has_punycode;
use super::{Mistake, Passed};
use crate::characters::has_invisible;
use crate::constraints::HostToResolve;
use crate::host::{HostPattern, is_local, mixes_scripts, plain_name};
use crate::violation::Reason;

/// Longest URL, in bytes, about what servers accept.
const BYTES_MAX: usize = 8192;

/// Schemes whose hosts the standard parses; in others `0x7f.1` would stay a name.
const SUPPORTED: &[&str] = &["https", "http", "wss", "ws", "ftp"];

/// A URL. It is sent as the parser writes it, so that the server cannot read another from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UrlRule {
    /// The argument must be given.
    pub required: bool,
    /// Which schemes; `https` unless set.
    pub schemes: Vec<String>,
    /// Which hosts: `host`, `*.domain`, `registrable:domain`. Without any, all but those of local
    /// networks.
    pub hosts: Vec<String>,
    /// Which ports. Without any, the scheme's own and those from 1024.
    pub ports: Vec<u16>,
    /// Which paths, by prefixes of whole segments. Without any, all.
    pub paths: Vec<String>,
    /// Networks that are permitted although they are not public, as `10.1.0.0/16`.
    #[schemars(with = "Vec<String>")]
    pub networks: Vec<IpNet>,
    /// Names in other characters than ASCII are permitted, unless a label mixes scripts.
    pub international: bool,
}

impl Default for UrlRule {
    fn default() -> Self {
        Self {
            required: false,
            schemes: vec!["https".to_owned()],
            hosts: Vec::new(),
            ports: Vec::new(),
            paths: Vec::new(),
            networks: Vec::new(),
            international: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct UrlCheck {
    schemes: Vec<String>,
    hosts: Vec<HostPattern>,
    ports: Vec<u16>,
    /// Without a final slash.
    paths: Vec<String>,
    networks: Vec<IpNet>,
    international: bool,
}

impl UrlCheck {
    pub(crate) fn compile(rule: &UrlRule) -> Result<Self, Mistake> {
        for scheme in &rule.schemes {
            if !SUPPORTED.contains(&scheme.as_str()) {
                return Err(Mistake::Scheme(scheme.clone()));
            }
        }
        Ok(Self {
            schemes: rule.schemes.clone(),
            hosts: HostPattern::parse_all(&rule.hosts)?,
            ports: rule.ports.clone(),
            paths: rule
                .paths
                .iter()
                .map(|path| prefix(path))
                .collect::<Result<_, _>>()?,
            networks: rule.networks.clone(),
            international: rule.international,
        })
    }

    pub(crate) fn check(&self, text: &str) -> Result<Passed, Reason> {
        self.check_spelling(text)?;
        let mut url = Url::parse(text).map_err(|_invalid| Reason::Malformed)?;
        if !self.schemes.iter().any(|scheme| scheme == url.scheme()) {
            return Err(Reason::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Reason::Credentials);
        }
        let host = match url.host().ok_or(Reason::Malformed)? {
            Host::Domain(name) => {
                let plain = plain_name(name).ok_or(Reason::Malformed)?;
                if plain != name {
                    url.set_host(Some(&plain))
                        .map_err(|_invalid| Reason::Malformed)?;
                }
                Host::Domain(plain)
            }
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => Host::Ipv6(address),
        };
        self.check_host(&host)?;
        let port = url.port_or_known_default().ok_or(Reason::Port)?;
        let is_usual = url.port().is_none() || port >= 1024;
        if if self.ports.is_empty() {
            !is_usual
        } else {
            !self.ports.contains(&port)
        } {
            return Err(Reason::Port);
        }
        self.check_path(url.path())?;
        let host = HostToResolve {
            pointer: String::new(),
            host,
            port: Some(port),
            networks: self.networks.clone(),
        };
        Ok(Passed {
            hosts: vec![host],
            ..Passed::text(text, url.into())
        })
    }

    /// Refuses spellings that this parser repairs and others read differently.
    fn check_spelling(&self, text: &str) -> Result<(), Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        if text.len() > BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        if text.chars().any(char::is_control) || has_invisible(text) {
            return Err(Reason::Invisible);
        }
        if text.contains(['\\', '\u{ff0f}', '\u{ff3c}']) || text.chars().any(char::is_whitespace) {
            return Err(Reason::Ambiguous);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Reason::Malformed)?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.bytes().all(is_plain) || scheme.is_empty() {
            return Err(Reason::Malformed);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(Reason::Malformed);
        }
        if authority.contains('@') {
            return Err(Reason::Credentials);
        }
        if authority.contains('%') {
            return Err(Reason::Encoded);
        }
        if !self.international && (!authority.is_ascii() || has_punycode(authority)) {
            return Err(Reason::LookAlike);
        }
        Ok(())
    }

    fn check_host(&self, host: &Host<String>) -> Result<(), Reason> {
        if let Host::Domain(name) = host {
            if mixes_scripts(name) {
                return Err(Reason::LookAlike);
            }
            // What resolves to permitted networks is the caller's to see.
            if self.hosts.is_empty() && self.networks.is_empty() && is_local(name) {
                return Err(Reason::Host);
            }
        }
        if self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)) {
            Ok(())
        } else {
            Err(Reason::Host)
        }
    }

    fn check_path(&self, path: &str) -> Result<(), Reason> {
        if self.paths.is_empty() {
            return Ok(());
        }
        // A server that decodes twice, or drops `;` parameters, would leave the prefix.
        let lower = path.to_ascii_lowercase();
        if ["%2f", "%5c", "%25", "%2e", "%00", "%3b", ";", "//"]
            .iter()
            .any(|code| lower.contains(code))
        {
            return Err(Reason::Encoded);
        }
        let is_below = |prefix: &String| {
            let rest = path.strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.paths.iter().any(is_below) {
            Ok(())
        } else {
            Err(Reason::UrlPath)
        }
    }
}

/// A prefix without its final slash.
fn prefix(path: &str) -> Result<String, Mistake> {
    let mistake = || Mistake::Prefix(path.to_owned());
    let plain = path.starts_with('/')
        && !path.contains(['%', '\\', ';', '?', '#'])
        && !path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        && !path.contains("//");
    if !plain {
        return Err(mistake());
    }
    Ok(path.strip_suffix('/').unwrap_or(path).to_owned())
}
