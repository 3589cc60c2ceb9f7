//! Builds the door from the configuration: the verifier of tokens, the authorization server, login, and the scopes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use portcullis_egress::Egress;
use portcullis_oauth::client::Credentials;
use portcullis_oauth::issuer::LocalIssuer;
use portcullis_oauth::login::{self, Login};
use portcullis_oauth::scope::Scopes;
use portcullis_oauth::server::client::GrantType;
use portcullis_oauth::server::config::{Credential, IdJagIssuer, StaticClient};
use portcullis_oauth::server::{self, AuthorizationServer, Resource, ScopeInfo};
use portcullis_oauth::vault::Vault;
use portcullis_oauth::verifier::{self, TokenVerifier};
use portcullis_pipeline::{InvalidScope, ScopeMap, ScopeRule};
use portcullis_proxy::Access;
use portcullis_store::Store;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;
use url::Url;

use crate::clock::now_ms;
use crate::config::Config;
use crate::config::oauth::{Grant, OAuth, OAuthClient, Registration, Scope};

/// How often keys are looked after and what has expired is forgotten.
const HOUSEKEEPING: Duration = Duration::from_mins(1);

/// What the door is built on.
#[derive(Debug)]
pub(crate) struct Foundation<'a> {
    pub store: &'a Store,
    pub egress: &'a Egress,
    pub vault: &'a Arc<Vault>,
    /// The gateway as a client of its servers' authorization servers.
    pub credentials: Option<Arc<Credentials>>,
}

/// The base of the gateway's own addresses: what the configuration says, or where it listens.
pub(crate) fn public_url(config: &Config, address: SocketAddr) -> anyhow::Result<Url> {
    if let Some(url) = &config.listen.public_url {
        return Url::parse(url).context("`listen.public_url` is not a URL");
    }
    let scheme = if config.listen.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Ok(Url::parse(&format!("{scheme}://{address}"))?)
}

/// The scopes of a configuration: those it names, or one for each server.
pub(crate) fn scopes(config: &Config) -> BTreeMap<String, Scope> {
    if !config.scopes.is_empty() {
        return config.scopes.clone();
    }
    let of_server = |name: &String| {
        let scope = Scope {
            description: format!("use everything that the server `{name}` offers"),
            servers: vec![name.clone()],
            ..Scope::default()
        };
        (name.clone(), scope)
    };
    config.servers.keys().map(of_server).collect()
}

/// What scopes open, for the pipeline.
pub(crate) fn scope_map(scopes: &BTreeMap<String, Scope>) -> Result<ScopeMap, InvalidScope> {
    let rules = scopes.iter().map(|(name, scope)| {
        let rule = ScopeRule {
            // A name that is none is no server's, and the rules have said so.
            servers: scope
                .servers
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            tools: scope.tools.clone(),
            prompts: scope.prompts.clone(),
            resources: scope.resources.clone(),
            needs: scope.needs.clone(),
        };
        (name.clone(), rule)
    });
    ScopeMap::build(&rules.collect())
}

/// Whether the built-in authorization server runs: when it is configured, or when clients from elsewhere would have nobody to
/// get a token from.
fn serves(config: &Config, address: SocketAddr) -> bool {
    let is_remote = !address.ip().is_loopback() && !address.ip().is_unspecified();
    match &config.oauth {
        Some(oauth) => oauth.server.is_some() || oauth.issuers.is_empty(),
        None => config.listen.public_url.is_some() || (is_remote && config.listen.tls.is_some()),
    }
}

/// The door of a gateway that listens on `address`.
pub(crate) async fn build(
    config: &Config,
    address: SocketAddr,
    on: Foundation<'_>,
) -> anyhow::Result<Access> {
    let public_url = public_url(config, address)?;
    let oauth = config.oauth.clone().unwrap_or_default();
    let default_scopes = match &oauth.default_scopes {
        Some(names) => Some(parse(names, "`oauth.default_scopes`")?),
        None => None,
    };
    let (server, login) = if serves(config, address) {
        let login = login::Parts {
            store: on.store.clone(),
            vault: Arc::clone(on.vault),
            egress: on.egress.clone(),
            public_url: public_url.clone(),
        };
        let login = Arc::new(Login::build(&oauth.login, login)?);
        let parts = server::Parts {
            store: on.store.clone(),
            vault: Arc::clone(on.vault),
            egress: on.egress.clone(),
            public_url: public_url.clone(),
            resources: resources(config, &public_url)?,
            scopes: catalogue(config),
            login: Arc::clone(&login),
        };
        let settings = server_settings(&oauth, default_scopes.clone())?;
        let server = AuthorizationServer::build(settings, parts, now_ms()).await?;
        (Some(Arc::new(server)), Some(login))
    } else {
        (None, None)
    };
    let local = server.as_ref().map(|server| {
        let local = LocalIssuer::new(server.issuer());
        local.set_keys(server.public_keys().to_vec());
        Arc::new(local)
    });
    let settings = verifier::Config {
        issuers: oauth.issuers.clone(),
        certificates: oauth.certificates.clone(),
        dpop: oauth.dpop,
        dpop_nonce: oauth.dpop_nonce,
    };
    let parts = verifier::Parts {
        store: on.store.clone(),
        egress: on.egress.clone(),
        public_url: public_url.clone(),
        local: local.clone(),
    };
    let upkeep = server
        .as_ref()
        .zip(local.as_ref())
        .map(|(server, local)| upkeep(server, local));
    let issuers = oauth.issuers.iter();
    Ok(Access {
        verifier: TokenVerifier::build(&settings, parts)?,
        server,
        login,
        credentials: on.credentials,
        public_url,
        issuers: issuers
            .map(|(name, issuer)| (issuer.issuer.clone(), name.clone()))
            .collect(),
        default_scopes,
        mutual_tls: config
            .listen
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_certificates),
        upkeep,
    })
}

fn parse(names: &[String], what: &str) -> anyhow::Result<Scopes> {
    names
        .join(" ")
        .parse()
        .with_context(|| format!("{what} names something that is no scope"))
}

/// Keeps the verifier's keys those of the server, and the server in order, as long as both are there.
fn upkeep(server: &Arc<AuthorizationServer>, local: &Arc<LocalIssuer>) -> AbortOnDropHandle<()> {
    let mut changes = server.key_changes();
    let (server, local) = (Arc::downgrade(server), Arc::clone(local));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut round = tokio::time::interval(HOUSEKEEPING);
        loop {
            tokio::select! {
                ended = changes.changed() => {
                    if ended.is_err() {
                        return;
                    }
                    local.set_keys(changes.borrow_and_update().to_vec());
                }
                _ = round.tick() => {
                    let Some(server) = Weak::upgrade(&server) else { return };
                    if let Err(cause) = server.housekeep(now_ms()).await {
                        error!(%cause, "the authorization server could not be kept in order");
                    }
                }
            }
        }
    }))
}

/// The endpoints that tokens are issued for.
fn resources(config: &Config, public_url: &Url) -> anyhow::Result<Vec<Resource>> {
    let mut resources = vec![Resource {
        uri: public_url.join("/mcp")?,
        title: "all servers".into(),
    }];
    for name in config.servers.keys() {
        resources.push(Resource {
            uri: public_url.join(&format!("/servers/{name}/mcp"))?,
            title: name.as_str().into(),
        });
    }
    Ok(resources)
}

/// The scopes in words, for the consent page.
fn catalogue(config: &Config) -> BTreeMap<String, ScopeInfo> {
    let in_words = |scope: Scope| {
        let mut tools: Vec<String> = Vec::new();
        let servers = scope.servers.iter();
        tools.extend(servers.map(|name| format!("everything of the server {name}")));
        for (kind, patterns) in [
            ("tool", &scope.tools),
            ("prompt", &scope.prompts),
            ("resource", &scope.resources),
        ] {
            tools.extend(patterns.iter().map(|pattern| {
                let plural = if pattern.contains('*') { "s" } else { "" };
                format!("the {kind}{plural} {pattern}")
            }));
        }
        ScopeInfo {
            description: scope.description,
            tools,
        }
    };
    let scopes = scopes(config).into_iter();
    scopes
        .map(|(name, scope)| (name, in_words(scope)))
        .collect()
}

fn server_settings(
    oauth: &OAuth,
    default_scopes: Option<Scopes>,
) -> anyhow::Result<server::config::Config> {
    let settings = oauth.server.clone().unwrap_or_default();
    let offers = |way| settings.registration.contains(&way);
    let mut clients = BTreeMap::new();
    for (id, client) in &settings.clients {
        clients.insert(id.clone(), static_client(id, client)?);
    }
    let mut id_jag_issuers = BTreeMap::new();
    for (name, issuer) in &settings.assertion_issuers {
        let jwks_uri = Url::parse(&issuer.jwks_uri).with_context(|| {
            format!("`jwks_uri` of `oauth.server.assertion_issuers.{name}` is not a URL")
        })?;
        let issuer = IdJagIssuer {
            issuer: issuer.issuer.clone(),
            jwks_uri,
            algorithms: issuer.algorithms.iter().map(|it| (*it).into()).collect(),
            clients: issuer.clients.clone(),
            groups_claim: issuer.groups_claim.clone(),
        };
        id_jag_issuers.insert(name.clone(), issuer);
    }
    Ok(server::config::Config {
        access_token_ttl: settings.access_token_ttl.get(),
        refresh_token_idle_ttl: settings.refresh_token_ttl.get(),
        grant_ttl: settings.grant_ttl.get(),
        code_ttl: settings.code_ttl.get(),
        key_period: settings.key_period.get(),
        metadata_documents: offers(Registration::MetadataDocument),
        metadata_document_hosts: settings.metadata_document_hosts.clone(),
        dynamic_registration: offers(Registration::Dynamic),
        dangerously_fetch_from_loopback: settings.dangerously_fetch_from_loopback,
        default_scopes: default_scopes.unwrap_or_default(),
        clients,
        id_jag_issuers,
        dpop: oauth.dpop,
        dpop_nonce: oauth.dpop_nonce,
    })
}

fn static_client(id: &str, client: &OAuthClient) -> anyhow::Result<StaticClient> {
    let credential = match (&client.secret, &client.key_file, &client.jwks_uri) {
        (None, None, None) => Credential::None,
        (Some(secret), None, None) => Credential::Secret(secret.clone()),
        (None, Some(file), None) => Credential::KeyFile(file.clone()),
        (None, None, Some(uri)) => {
            Credential::KeysAt(Url::parse(uri).with_context(|| {
                format!("`jwks_uri` of `oauth.server.clients.{id}` is not a URL")
            })?)
        }
        _ => anyhow::bail!(
            "`oauth.server.clients.{id}` has several of `secret`, `key_file` and `jwks_uri`; keep one"
        ),
    };
    let chosen = client.grants.iter().map(|grant| match grant {
        Grant::AuthorizationCode => GrantType::AuthorizationCode,
        Grant::RefreshToken => GrantType::RefreshToken,
        Grant::ClientCredentials => GrantType::ClientCredentials,
        Grant::JwtBearer => GrantType::JwtBearer,
    });
    let grant_types = if !client.grants.is_empty() {
        chosen.collect()
    } else if client.redirect_uris.is_empty() {
        vec![GrantType::ClientCredentials]
    } else {
        vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
    };
    let scopes = match &client.scopes {
        Some(names) => Some(parse(
            names,
            &format!("`oauth.server.clients.{id}.scopes`"),
        )?),
        None => None,
    };
    Ok(StaticClient {
        name: client.name.clone(),
        redirect_uris: client.redirect_uris.clone(),
        credential,
        grant_types,
        scopes,
        groups: client.groups.clone(),
        introspects: client.introspects,
    })
}
