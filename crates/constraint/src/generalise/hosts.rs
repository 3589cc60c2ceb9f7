//! The hosts of URLs, email addresses and domains.

use std::collections::BTreeSet;

use url::Url;

use crate::rule::domain::{DomainRule, has_punycode};
use crate::rule::email::EmailRule;
use crate::rule::url::UrlRule;

/// Most hosts that are listed one by one.
const HOSTS_MAX: usize = 8;

/// A rule with the schemes, hosts and ports of URLs.
pub(super) fn urls(proposal: &UrlRule, texts: &[&str]) -> Option<UrlRule> {
    let urls: Vec<Url> = texts
        .iter()
        .map(|text| Url::parse(text).ok())
        .collect::<Option<_>>()?;
    let schemes: BTreeSet<&str> = urls.iter().map(Url::scheme).collect();
    let hosts: BTreeSet<String> = urls
        .iter()
        .map(|url| url.host_str().map(plain))
        .collect::<Option<_>>()?;
    let ports: BTreeSet<u16> = urls
        .iter()
        .map(Url::port_or_known_default)
        .collect::<Option<_>>()?;
    let is_plain = urls.iter().all(|url| url.port().is_none());
    Some(UrlRule {
        required: false,
        schemes: schemes.into_iter().map(str::to_owned).collect(),
        international: is_international(&hosts),
        hosts: listed(hosts),
        ports: if is_plain {
            // Those of the schemes, which are listed.
            proposal.ports.clone()
        } else {
            ports.into_iter().collect()
        },
        ..proposal.clone()
    })
}

/// A rule with the domains of addresses.
pub(super) fn emails(texts: &[&str]) -> Option<EmailRule> {
    let domains = texts
        .iter()
        .map(|text| text.rsplit_once('@').map(|(_, domain)| plain(domain)));
    Some(EmailRule {
        required: false,
        domains: listed(domains.collect::<Option<_>>()?),
    })
}

/// A rule with domains.
pub(super) fn domains(texts: &[&str]) -> Option<DomainRule> {
    let hosts = texts
        .iter()
        .map(|text| url::Host::parse(text).ok().map(|host| host.to_string()));
    let hosts: BTreeSet<String> = hosts
        .map(|host| host.map(|host| plain(&host)))
        .collect::<Option<_>>()?;
    Some(DomainRule {
        required: false,
        international: is_international(&hosts),
        domains: listed(hosts),
    })
}

fn plain(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix('.').unwrap_or(&host).to_owned()
}

fn is_international(hosts: &BTreeSet<String>) -> bool {
    hosts
        .iter()
        .any(|host| !host.is_ascii() || has_punycode(host))
}

/// Few hosts as they are; more by their registrable domains; too many of these not at all.
fn listed(hosts: BTreeSet<String>) -> Vec<String> {
    if hosts.len() <= HOSTS_MAX {
        return hosts.into_iter().collect();
    }
    let registrable: Option<BTreeSet<String>> = hosts
        .iter()
        .map(|host| psl::domain_str(host).map(|domain| format!("registrable:{domain}")))
        .collect();
    registrable
        .filter(|domains| domains.len() <= HOSTS_MAX)
        .map(|domains| domains.into_iter().collect())
        .unwrap_or_default()
}
