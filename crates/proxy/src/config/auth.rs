//! How the gateway proves itself to a server: what the operator writes, and what the OAuth client makes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use http::HeaderName;
use portcullis_oauth::client::settings as oauth;
use portcullis_oauth::jwt::SigningKey;
use portcullis_oauth::scope::Scopes;
use portcullis_oauth::secrets::SecretName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::Server;

/// Who the gateway is where it asks for credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// What the gateway calls itself where it registers as a client; `Portcullis` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where the gateway's client ID metadata document is, if it is served from another place than the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata_url: Option<String>,
}

/// How the gateway proves itself to a remote server. Whatever it sends goes to that server alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// A header field with a secret that is kept sealed, and set by `portcullis secret set`.
    Secret {
        /// The secret's name.
        secret: String,
        /// The header field.
        #[serde(default = "authorization")]
        header: String,
        /// Its value; `{secret}` stands for the secret.
        #[serde(default = "bearer")]
        value: String,
    },
    /// OAuth, with the consent of a person in a browser.
    Oauth {
        /// The client that was registered for the gateway by hand; found out or registered by itself when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<Client>,
        /// How the gateway becomes a client where none was registered by hand.
        #[serde(default)]
        registration: Registration,
        /// The scopes that are asked for at first; what the server asks for when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
        /// Who connects, and for whom.
        #[serde(default)]
        connection: Connection,
        /// Accounts that may make the connection that all share.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<String>,
        /// Groups of accounts that may make the connection that all share.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<String>,
        /// The only authorization server that is believed, by its issuer; the one that the server names when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_server: Option<String>,
        /// Whether only tokens bound to a key are taken (RFC 9449); otherwise they are where the server asks for it.
        #[serde(default)]
        dpop: bool,
    },
    /// OAuth as the gateway itself, without a person.
    ClientCredentials {
        /// The client that was registered for the gateway.
        client: Client,
        /// The scopes that are asked for, and never more; what the server asks for when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
        /// The only authorization server that gets the client's credentials; the first that the server names when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_server: Option<String>,
        /// Whether only tokens bound to a key are taken (RFC 9449).
        #[serde(default)]
        dpop: bool,
    },
    /// A token in exchange for an assertion about the user (RFC 8693).
    TokenExchange {
        /// The client that was registered for the gateway.
        client: Client,
        /// What is exchanged.
        subject: Subject,
        /// The scopes that are asked for, and never more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
        /// The only authorization server that gets the client's credentials and the assertion.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_server: Option<String>,
        /// Whether only tokens bound to a key are taken (RFC 9449).
        #[serde(default)]
        dpop: bool,
    },
    /// A token for a grant of the enterprise's identity provider (identity assertion authorization grant).
    IdJag {
        /// The client that was registered for the gateway at the server's authorization server.
        client: Client,
        /// The identity provider.
        provider: IdentityProvider,
        /// What says to the identity provider who the user is.
        subject: Subject,
        /// The scopes that are asked for, and never more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
        /// The only authorization server that gets the client's credentials and the grant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_server: Option<String>,
        /// Whether only tokens bound to a key are taken (RFC 9449).
        #[serde(default)]
        dpop: bool,
    },
    /// A token for the one that this workload's platform writes into a file (RFC 7523).
    WorkloadIdentity {
        /// The file; read each time.
        token_file: PathBuf,
        /// The audience that the platform's token has; needs `authorization_server` if it is another than that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        /// The `client_id`, where the authorization server wants one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The scopes that are asked for, and never more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
        /// The only authorization server that gets the platform's token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_server: Option<String>,
        /// Whether only tokens bound to a key are taken (RFC 9449).
        #[serde(default)]
        dpop: bool,
    },
}

/// A client that somebody registered for the gateway. It has at most one of `secret`, `sealed_secret` and `key`; without, it
/// is a public client.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its secret; write `${NAME}` or `${file:PATH}` rather than the secret itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The name of its secret among those that `portcullis secret set` keeps sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_secret: Option<String>,
    /// Its private key in PEM, for `private_key_jwt`; write `${file:PATH}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An enterprise's identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityProvider {
    /// The URL of its token endpoint.
    pub token_endpoint: String,
    /// The client that was registered for the gateway there.
    pub client: Client,
    /// Its issuer, which assertions of ours are for; its token endpoint when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// What says who the user is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// An assertion that the gateway signs.
    OwnAssertion,
    /// The ID token of the user's login at an identity provider.
    Identity {
        /// The identity provider's issuer.
        issuer: String,
    },
    /// A sealed secret, the same for all users.
    Secret {
        /// Its name.
        secret: String,
        /// Its type (RFC 8693 §3), of an ID token when absent.
        #[serde(default = "id_token")]
        token_type: String,
    },
    /// A file that is read each time, the same for all users.
    File {
        /// The file.
        path: PathBuf,
        /// Its type (RFC 8693 §3), of an ID token when absent.
        #[serde(default = "id_token")]
        token_type: String,
    },
}

/// How the gateway becomes a client of an authorization server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// By its metadata document where that is supported and can be read, otherwise by registering itself.
    #[default]
    Auto,
    /// By its client ID metadata document.
    MetadataDocument,
    /// By registering itself (RFC 7591).
    Dynamic,
}

/// Who connects to a server in a browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// Each user their own account there.
    #[default]
    EachUser,
    /// One for all users, made by one of `accounts` or `groups`, or by `portcullis connect`.
    Shared,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn bearer() -> String {
    "Bearer {secret}".to_owned()
}

fn id_token() -> String {
    oauth::TYPE_ID_TOKEN.to_owned()
}

/// A setting of `auth` that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`auth.{setting}` {fault}")]
pub struct InvalidAuth {
    /// Where it stands beneath `auth`.
    pub setting: &'static str,
    /// What does not fit, and what would.
    pub fault: &'static str,
}

/// Only `connection = "shared"` has somebody who makes it.
const UNSHARED: &str = "means something with `connection = \"shared\"` only; take it out";
const NOT_A_SECRET: &str =
    "is not the name of a secret; use 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`";
const NOT_AN_ADDRESS: &str = "must be an absolute `https` URL; `http` is for this machine alone";

/// What the credentials of all servers are made of; `None` where no server needs any.
pub fn settings(
    own: &Credentials,
    servers: &BTreeMap<String, Server>,
) -> Result<Option<oauth::Config>, (String, InvalidAuth)> {
    let mut all = BTreeMap::new();
    for (name, server) in servers {
        let (Some(auth), Some(url)) = (&server.auth, &server.url) else {
            continue;
        };
        let made = auth
            .settings(url)
            .map_err(|invalid| (name.clone(), invalid))?;
        all.insert(name.as_str().into(), made);
    }
    if all.is_empty() {
        return Ok(None);
    }
    Ok(Some(oauth::Config {
        servers: all,
        client_name: own.client_name.as_deref().unwrap_or_default().into(),
        client_metadata_url: own
            .client_metadata_url
            .as_deref()
            .and_then(|text| Url::parse(text).ok()),
    }))
}

impl Auth {
    /// What the OAuth client makes of it, for the server at `url`.
    pub fn settings(&self, url: &str) -> Result<oauth::ServerConfig, InvalidAuth> {
        let fault = |setting, fault| InvalidAuth { setting, fault };
        let url = Url::parse(url).map_err(|_text| fault("kind", "needs a usable `url`"))?;
        let mut dpop_only = false;
        let auth = match self {
            Self::Secret {
                secret,
                header,
                value,
            } => oauth::ServerAuth::Secret(oauth::SecretHeader {
                header: header
                    .parse::<HeaderName>()
                    .map_err(|_name| fault("header", "is not the name of a header field"))?,
                template: Some(&**value)
                    .filter(|value| value.matches("{secret}").count() == 1)
                    .ok_or(fault("value", "must contain `{secret}` once"))?
                    .into(),
                secret: secret_name("secret", secret)?,
            }),
            Self::Oauth {
                client,
                registration,
                scopes: asked,
                connection,
                accounts,
                groups,
                authorization_server,
                dpop,
            } => {
                dpop_only = *dpop;
                let boxed = |texts: &[String]| texts.iter().map(|it| it.as_str().into()).collect();
                oauth::ServerAuth::OAuth(oauth::OAuthSettings {
                    client: match (client, registration) {
                        (Some(client), Registration::Auto) => {
                            oauth::ClientIdentity::Preregistered(client.build("client")?)
                        }
                        (Some(_), _) => {
                            return Err(fault("registration", "makes no sense beside `client`"));
                        }
                        (None, Registration::Auto) => oauth::ClientIdentity::Auto,
                        (None, Registration::MetadataDocument) => {
                            oauth::ClientIdentity::MetadataDocument
                        }
                        (None, Registration::Dynamic) => oauth::ClientIdentity::Dynamic,
                    },
                    scopes: scopes(asked.as_deref())?,
                    connection: match connection {
                        Connection::EachUser if !accounts.is_empty() => {
                            return Err(fault("accounts", UNSHARED));
                        }
                        Connection::EachUser if !groups.is_empty() => {
                            return Err(fault("groups", UNSHARED));
                        }
                        Connection::EachUser => oauth::Connection::EachUser,
                        Connection::Shared => oauth::Connection::Shared {
                            accounts: boxed(accounts),
                            groups: boxed(groups),
                        },
                    },
                    authorization_server: issuer(authorization_server.as_deref())?,
                })
            }
            Self::ClientCredentials {
                client,
                scopes,
                authorization_server,
                dpop,
            } => {
                dpop_only = *dpop;
                oauth::ServerAuth::ClientCredentials(grant(
                    client,
                    scopes.as_deref(),
                    authorization_server.as_deref(),
                )?)
            }
            Self::TokenExchange {
                client,
                subject,
                scopes,
                authorization_server,
                dpop,
            } => {
                dpop_only = *dpop;
                oauth::ServerAuth::TokenExchange(oauth::ExchangeSettings {
                    grant: grant(client, scopes.as_deref(), authorization_server.as_deref())?,
                    subject: subject.build()?,
                })
            }
            Self::IdJag {
                client,
                provider,
                subject,
                scopes,
                authorization_server,
                dpop,
            } => {
                dpop_only = *dpop;
                let endpoint = address("provider.token_endpoint", &provider.token_endpoint)?;
                oauth::ServerAuth::IdJag(oauth::IdJagSettings {
                    grant: grant(client, scopes.as_deref(), authorization_server.as_deref())?,
                    provider_token_endpoint: endpoint,
                    provider_client: provider.client.build("provider.client")?,
                    provider_issuer: provider.issuer.as_deref().map(Box::from),
                    subject: subject.build()?,
                })
            }
            Self::WorkloadIdentity {
                token_file,
                audience,
                client_id,
                scopes: asked,
                authorization_server,
                dpop,
            } => {
                dpop_only = *dpop;
                if audience.is_some() && authorization_server.is_none() {
                    return Err(fault("audience", "needs `authorization_server` beside it"));
                }
                oauth::ServerAuth::WorkloadIdentity(oauth::WorkloadSettings {
                    token_file: token_file.clone(),
                    audience: audience.as_deref().map(Box::from),
                    client_id: client_id.as_deref().map(Box::from),
                    scopes: scopes(asked.as_deref())?,
                    authorization_server: issuer(authorization_server.as_deref())?,
                })
            }
        };
        Ok(oauth::ServerConfig {
            url,
            auth,
            dpop: dpop_only,
        })
    }

    /// The header fields that it writes.
    pub fn headers(&self) -> Vec<HeaderName> {
        match self {
            Self::Secret { header, .. } => header.parse().into_iter().collect(),
            Self::Oauth { .. }
            | Self::ClientCredentials { .. }
            | Self::TokenExchange { .. }
            | Self::IdJag { .. }
            | Self::WorkloadIdentity { .. } => {
                vec![http::header::AUTHORIZATION, HeaderName::from_static("dpop")]
            }
        }
    }

    /// The files that it names.
    pub fn paths_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::WorkloadIdentity { token_file, .. } => Some(token_file),
            Self::TokenExchange { subject, .. } | Self::IdJag { subject, .. } => match subject {
                Subject::File { path, .. } => Some(path),
                Subject::OwnAssertion | Subject::Identity { .. } | Subject::Secret { .. } => None,
            },
            Self::Secret { .. } | Self::Oauth { .. } | Self::ClientCredentials { .. } => None,
        }
    }
}

impl Client {
    fn build(&self, setting: &'static str) -> Result<oauth::PreregisteredClient, InvalidAuth> {
        let fault = |fault| InvalidAuth { setting, fault };
        let proof = match (&self.secret, &self.sealed_secret, &self.key) {
            (None, None, None) => oauth::ClientProof::None,
            (Some(secret), None, None) => {
                let secret = Zeroizing::new(secret.clone());
                oauth::ClientProof::Secret(oauth::SecretSource::Value(secret))
            }
            (None, Some(name), None) => {
                let name = secret_name(setting, name)?;
                oauth::ClientProof::Secret(oauth::SecretSource::Sealed(name))
            }
            (None, None, Some(pem)) => {
                let key = SigningKey::from_pem(pem.as_bytes());
                let key = key.map_err(|_error| {
                    fault("has a `key` that is no private key in PEM (EC P-256, Ed25519 or RSA)")
                })?;
                oauth::ClientProof::Key(Box::new(key))
            }
            _ => {
                return Err(fault(
                    "has more than one of `secret`, `sealed_secret` and `key`",
                ));
            }
        };
        if self.id.is_empty() {
            return Err(fault("has an empty `id`"));
        }
        Ok(oauth::PreregisteredClient {
            id: self.id.as_str().into(),
            proof,
        })
    }
}

impl Subject {
    fn build(&self) -> Result<oauth::SubjectToken, InvalidAuth> {
        Ok(match self {
            Self::OwnAssertion => oauth::SubjectToken::OwnAssertion,
            Self::Identity { issuer } => oauth::SubjectToken::Identity {
                issuer: issuer.as_str().into(),
            },
            Self::Secret { secret, token_type } => oauth::SubjectToken::Secret {
                name: secret_name("subject.secret", secret)?,
                token_type: token_type.as_str().into(),
            },
            Self::File { path, token_type } => oauth::SubjectToken::File {
                path: path.clone(),
                token_type: token_type.as_str().into(),
            },
        })
    }
}

fn grant(
    client: &Client,
    asked: Option<&[String]>,
    authorization_server: Option<&str>,
) -> Result<oauth::GrantSettings, InvalidAuth> {
    Ok(oauth::GrantSettings {
        client: client.build("client")?,
        scopes: scopes(asked)?,
        authorization_server: issuer(authorization_server)?,
    })
}

fn scopes(asked: Option<&[String]>) -> Result<Option<Scopes>, InvalidAuth> {
    let invalid = |_error| InvalidAuth {
        setting: "scopes",
        fault: "has one that is no scope; use visible ASCII characters but `\"` and `\\`",
    };
    let Some(asked) = asked else { return Ok(None) };
    let mut scopes = Scopes::new();
    for scope in asked {
        scopes.insert(scope).map_err(invalid)?;
    }
    Ok(Some(scopes))
}

fn secret_name(setting: &'static str, name: &str) -> Result<SecretName, InvalidAuth> {
    let fault = NOT_A_SECRET;
    name.parse()
        .map_err(|_invalid| InvalidAuth { setting, fault })
}

fn issuer(text: Option<&str>) -> Result<Option<Box<str>>, InvalidAuth> {
    let Some(text) = text else { return Ok(None) };
    address("authorization_server", text)?;
    // As it is written: issuers are compared character for character.
    Ok(Some(text.into()))
}

fn address(setting: &'static str, text: &str) -> Result<Url, InvalidAuth> {
    let is_loopback = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
        .ok_or(InvalidAuth {
            setting,
            fault: NOT_AN_ADDRESS,
        })
}
