//! Finds the client of an identifier: the operator's, that of a document, or one that registered itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_egress::{Egress, Reach};
use portcullis_store::{ReadError, Store};

use crate::jwt::jwk::Jwk;
use crate::secret;
use crate::server::client::{self, AuthMethod, Client, GrantType, Keys, Metadata, Origin};
use crate::server::config::{BuildError, Config, Credential, StaticClient};
use crate::server::documents::{Documents, NoDocument};
use crate::server::redirect_uri::RedirectUri;

/// What the identifiers of clients that registered themselves begin with.
pub(crate) const REGISTERED_PREFIX: &str = "dcr-";

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    fixed: BTreeMap<String, Arc<Client>>,
    documents: Option<Documents>,
    registered: bool,
    store: Store,
}

/// Why there is no client of an identifier.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error("unknown_client")]
    Unknown,
    #[error(transparent)]
    Document(#[from] NoDocument),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl NoClient {
    /// A word for the record.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_client",
            Self::Document(error) => error.reason(),
            Self::Read(_) => "internal",
        }
    }
}

impl Clients {
    pub(crate) fn build(config: &Config, store: Store, egress: Egress) -> Result<Self, BuildError> {
        let mut fixed = BTreeMap::new();
        for (id, settings) in &config.clients {
            fixed.insert(id.clone(), Arc::new(build(id, settings)?));
        }
        let documents = config.metadata_documents.then(|| {
            Documents::new(
                egress,
                config.metadata_document_hosts.clone(),
                config.dangerously_fetch_from_loopback,
            )
        });
        Ok(Self {
            fixed,
            documents,
            registered: config.dynamic_registration,
            store,
        })
    }

    /// The client called `id`.
    pub(crate) async fn find(
        &self,
        id: &str,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Arc<Client>, NoClient> {
        if let Some(client) = self.fixed.get(id) {
            return Ok(Arc::clone(client));
        }
        if Documents::concerns(id) {
            let documents = self.documents.as_ref().ok_or(NoClient::Unknown)?;
            return Ok(documents.find(id, peer, now_ms).await?);
        }
        if !self.registered || !id.starts_with(REGISTERED_PREFIX) {
            return Err(NoClient::Unknown);
        }
        let row = self.store.oauth_clients().find(id.to_owned()).await?;
        let row = row.ok_or(NoClient::Unknown)?;
        // What was accepted once is accepted again, unless the rules have become stricter since.
        let mut client = serde_json::from_str::<Metadata>(&row.metadata)
            .ok()
            .and_then(|it| {
                it.accept(id, Origin::Registered, &AuthMethod::ALL, false)
                    .ok()
            })
            .ok_or(NoClient::Unknown)?;
        client.secret = row.secret;
        Ok(Arc::new(client))
    }
}

/// The client that the operator describes.
fn build(id: &str, settings: &StaticClient) -> Result<Client, BuildError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.is_empty()
        || id.len() > 128
        || id.starts_with(REGISTERED_PREFIX)
        || !id.bytes().all(plain)
    {
        return Err(BuildError::ClientId(id.to_owned()));
    }
    let problem = |problem| BuildError::Client {
        client: id.to_owned(),
        problem,
    };
    let redirect_uris = settings
        .redirect_uris
        .iter()
        .map(|uri| {
            RedirectUri::parse(uri).map_err(|source| BuildError::RedirectUri {
                client: id.to_owned(),
                uri: uri.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let uses_codes = settings.grant_types.contains(&GrantType::AuthorizationCode);
    if uses_codes && redirect_uris.is_empty() {
        return Err(problem("uses authorization codes; give it `redirect_uris`"));
    }
    let own_right = settings
        .grant_types
        .iter()
        .any(|it| matches!(it, GrantType::ClientCredentials | GrantType::JwtBearer));
    if own_right && matches!(settings.credential, Credential::None) {
        return Err(problem(
            "gets tokens by its own right; give it a secret or keys",
        ));
    }
    let secret = match &settings.credential {
        Credential::Secret(text) if text.is_empty() => {
            return Err(problem("has an empty secret; give it a random one"));
        }
        Credential::Secret(text) => Some(secret::sha256(text.as_bytes())),
        Credential::SecretDigest(digest) => Some(*digest),
        _ => None,
    };
    let keys = match &settings.credential {
        Credential::Keys(keys) if keys.is_empty() || !keys.iter().all(client::verifies) => {
            return Err(problem("has no usable keys; give it public keys that sign"));
        }
        Credential::Keys(keys) => Keys::Fixed(keys.clone()),
        Credential::KeysAt(url) => Keys::At(url.clone(), Reach::Configured),
        Credential::KeyFile(path) => {
            let failed = |source| BuildError::KeyFile {
                client: id.to_owned(),
                path: path.clone(),
                source,
            };
            let text = std::fs::read(path).map_err(failed)?;
            let keys =
                read_keys(&text).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
            Keys::Fixed(keys)
        }
        Credential::None | Credential::Secret(_) | Credential::SecretDigest(_) => Keys::None,
    };
    Ok(Client {
        id: id.into(),
        name: settings.name.as_deref().unwrap_or(id).into(),
        origin: Origin::Static,
        redirect_uris,
        methods: settings.credential.methods(),
        secret,
        keys,
        grant_types: settings.grant_types.clone(),
        scopes: settings.scopes.clone(),
        default_scopes: settings.scopes.clone(),
        groups: settings
            .groups
            .iter()
            .map(|it| it.as_str().into())
            .collect(),
        introspects: settings.introspects,
    })
}

/// The public keys in a file: one, or a set of them.
fn read_keys(text: &[u8]) -> Option<Vec<Jwk>> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let set = if value.get("keys").is_some() {
        value
    } else {
        serde_json::json!({ "keys": [value] })
    };
    client::public_keys(&set).ok()
}
