//! Who the gateway is to an authorization server: a client registered by hand, its client ID metadata document, or one that it
//! registers itself (RFC 7591). What one issuer gave is never shown to another.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use portcullis_egress::Egress;
use portcullis_store::calls::ReadError;
use portcullis_store::{ClientRegistrationRow, RecordError, Store};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::client::discovery::AuthorizationServer;
use crate::client::fetch::{self, FetchError, Trust, is_loopback};
use crate::client::settings::{ClientIdentity, ClientProof, PreregisteredClient, SecretSource};
use crate::client::token_endpoint::{Client, Proven};
use crate::secret::NoRandomness;
use crate::secrets::{SecretError, Secrets};
use crate::vault::{Unsealable, Vault};

const GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];

/// Why the gateway is nobody to an authorization server.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// There is no way to become somebody.
    #[error(
        "the authorization server neither reads metadata documents nor registers clients; register the gateway by hand and \
         configure its `client_id`"
    )]
    Unsupported,
    /// Our metadata document cannot be read from outside.
    #[error("a client ID metadata document needs an https address of the gateway")]
    NoDocument,
    /// The authorization server did not register us.
    #[error("the authorization server refused to register the gateway (status {0})")]
    Refused(StatusCode),
    /// It answered what is no registration.
    #[error("the authorization server's answer is no registration")]
    Malformed,
    /// It did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The secret of a client registered by hand.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The registration on record cannot be opened.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    /// It could not be sealed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] RecordError),
}

/// The gateway as a client.
#[derive(Clone, Debug)]
pub(crate) struct Registrar {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) egress: Egress,
    pub(crate) secrets: Secrets,
    pub(crate) client_name: Box<str>,
    pub(crate) public_url: Url,
    pub(crate) redirect_uri: Box<str>,
    /// Where our metadata document is, if anywhere.
    pub(crate) document: Option<Box<str>>,
}

/// Metadata of a client (RFC 7591 §2).
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    client_name: &'a str,
    client_uri: &'a str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'a str,
    application_type: &'static str,
}

/// A registration, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Registration {
    client_id: Box<str>,
    client_secret: Option<Zeroizing<String>>,
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    client_secret_expires_at: Option<u64>,
}

impl Registrar {
    /// Our client ID metadata document, to be served at `/oauth/client-metadata`.
    pub(crate) fn document(&self) -> Bytes {
        let document = self.metadata(self.document.as_deref(), "none");
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    }

    fn metadata<'a>(&'a self, client_id: Option<&'a str>, method: &'a str) -> Metadata<'a> {
        Metadata {
            client_id,
            client_name: &self.client_name,
            client_uri: self.public_url.as_str(),
            redirect_uris: [&self.redirect_uri],
            grant_types: GRANTS,
            response_types: ["code"],
            token_endpoint_auth_method: method,
            application_type: if is_loopback(&self.public_url) {
                "native"
            } else {
                "web"
            },
        }
    }

    /// Who we are to `server`. Registers the gateway there if need be and `register` is set; `None` if it would have to.
    pub(crate) async fn client(
        &self,
        trust: &Trust,
        server: &AuthorizationServer,
        identity: &ClientIdentity,
        register: bool,
        now_ms: u64,
    ) -> Result<Option<Client>, RegistrationError> {
        let by_document = || {
            self.document.as_ref().map(|id| Client {
                id: id.clone(),
                proof: Proven::None,
            })
        };
        match identity {
            ClientIdentity::Preregistered(client) => {
                return self.preregistered(client, Some(server)).await.map(Some);
            }
            ClientIdentity::MetadataDocument => {
                return by_document().map(Some).ok_or(RegistrationError::NoDocument);
            }
            ClientIdentity::Auto if server.client_id_metadata_document_supported => {
                if let Some(client) = by_document() {
                    return Ok(Some(client));
                }
            }
            ClientIdentity::Auto | ClientIdentity::Dynamic => {}
        }
        if let Some(registration) = self.find(&server.issuer, now_ms).await? {
            return Ok(Some(registration.client(server)));
        }
        if !register {
            return Ok(None);
        }
        let registration = self.register(trust, server, now_ms).await?;
        Ok(Some(registration.client(server)))
    }

    /// A client registered by hand, with its secret.
    pub(crate) async fn preregistered(
        &self,
        client: &PreregisteredClient,
        server: Option<&AuthorizationServer>,
    ) -> Result<Client, RegistrationError> {
        let proof = match &client.proof {
            ClientProof::None => Proven::None,
            ClientProof::Key(key) => Proven::Key(key.clone()),
            ClientProof::Secret(source) => {
                let secret = match source {
                    SecretSource::Value(value) => value.clone(),
                    SecretSource::Sealed(name) => (*self.secrets.resolve(name).await?).clone(),
                };
                match server.map_or("client_secret_basic", |it| secret_method(it)) {
                    "client_secret_post" => Proven::Post(secret),
                    // Whoever has a secret shows it, also where the metadata does not say how.
                    _ => Proven::Basic(secret),
                }
            }
        };
        Ok(Client {
            id: client.id.clone(),
            proof,
        })
    }

    /// Forgets a registration that the authorization server no longer knows.
    pub(crate) async fn forget(&self, issuer: &str) -> Result<(), RecordError> {
        self.store
            .client_registrations()
            .remove(issuer.to_owned(), self.redirect_uri.to_string())
            .await
    }

    async fn find(
        &self,
        issuer: &str,
        now_ms: u64,
    ) -> Result<Option<Registration>, RegistrationError> {
        let row = self
            .store
            .client_registrations()
            .get(issuer.to_owned(), self.redirect_uri.to_string())
            .await?;
        let Some(row) = row.filter(|row| row.expires_ms.is_none_or(|it| it > now_ms)) else {
            return Ok(None);
        };
        let plain = self
            .vault
            .unseal(&purpose(issuer, &self.redirect_uri), &row.sealed)?;
        Ok(serde_json::from_slice(&plain).ok())
    }

    async fn register(
        &self,
        trust: &Trust,
        server: &AuthorizationServer,
        now_ms: u64,
    ) -> Result<Registration, RegistrationError> {
        let endpoint = server
            .registration_endpoint
            .as_ref()
            .ok_or(RegistrationError::Unsupported)?;
        let metadata = self.metadata(None, secret_method(server));
        let body = serde_json::to_vec(&metadata)
            .map_err(|_unserializable| RegistrationError::Malformed)?;
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let answer = fetch::send(&self.egress, trust, endpoint, request, body.into()).await?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK) {
            return Err(RegistrationError::Refused(answer.status));
        }
        let registration: Registration =
            serde_json::from_slice(&answer.body).map_err(|_shape| RegistrationError::Malformed)?;
        let usable = |text: &str| !text.is_empty() && text.len() <= 2048;
        if !usable(&registration.client_id)
            || registration
                .client_secret
                .as_ref()
                .is_some_and(|it| !usable(it))
        {
            return Err(RegistrationError::Malformed);
        }
        let plain = Zeroizing::new(
            serde_json::to_vec(&registration)
                .map_err(|_unserializable| RegistrationError::Malformed)?,
        );
        let sealed = self
            .vault
            .seal(&purpose(&server.issuer, &self.redirect_uri), &plain)?;
        let row = ClientRegistrationRow {
            issuer: server.issuer.clone(),
            redirect_uri: self.redirect_uri.to_string(),
            sealed,
            created_ms: now_ms,
            // 0: never (RFC 7591 §3.2.1).
            expires_ms: registration
                .client_secret_expires_at
                .filter(|it| *it > 0)
                .map(|it| it.saturating_mul(1000)),
        };
        self.store.client_registrations().put(row).await?;
        Ok(registration)
    }
}

impl Registration {
    fn client(self, server: &AuthorizationServer) -> Client {
        let method = self
            .token_endpoint_auth_method
            .as_deref()
            .unwrap_or_else(|| secret_method(server));
        let proof = match (method, self.client_secret) {
            ("client_secret_post", Some(secret)) => Proven::Post(secret),
            ("none", _) | (_, None) => Proven::None,
            (_, Some(secret)) => Proven::Basic(secret),
        };
        Client {
            id: self.client_id,
            proof,
        }
    }
}

/// How a client with a secret shows it: the header where that is possible, which is the default (RFC 8414 §2).
fn secret_method(server: &AuthorizationServer) -> &'static str {
    let Some(supported) = &server.token_endpoint_auth_methods_supported else {
        return "client_secret_basic";
    };
    ["client_secret_basic", "client_secret_post"]
        .into_iter()
        .find(|method| supported.iter().any(|it| it == method))
        .unwrap_or("none")
}

fn purpose(issuer: &str, redirect_uri: &str) -> String {
    format!("client-registration:{issuer} {redirect_uri}")
}
