//! Who issues tokens: the built-in authorization server, and those of the configuration.

mod claims;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use portcullis_egress::Egress;
use url::Url;

pub use claims::foreign_revocation;
pub(crate) use claims::{Confirmation, Verified, Vouched};

use crate::introspection::Introspector;
use crate::jwks::{KeySet, KeySource, Location};
use crate::jwt::{Algorithm, Distrust, jwk::Jwk};
use crate::verifier::config;
use crate::verifier::{BuildError, Reason};

/// The built-in authorization server, as the verifier knows it. Its keys are handed over, not fetched.
#[derive(Debug)]
pub struct LocalIssuer {
    issuer: Arc<str>,
    keys: RwLock<Arc<KeySet>>,
}

impl LocalIssuer {
    /// The authorization server with this identifier. It has no keys yet.
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            keys: RwLock::default(),
        }
    }

    /// Its identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys that its tokens may be signed by from now on: the one in use, and the earlier ones whose tokens still live. A
    /// verdict under a key that is taken away is believed for ten minutes at most; to end it at once, revoke.
    pub fn set_keys(&self, keys: Vec<Jwk>) {
        *self.keys.write() = Arc::new(KeySet::new(keys));
    }

    pub(crate) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read())
    }
}

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// Its identifier, to the byte.
    pub(crate) id: Arc<str>,
    pub(crate) keys: Keys,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) types: Vec<&'static str>,
    /// Accepted beside the resource's own address.
    pub(crate) audiences: Vec<String>,
    pub(crate) several_resources: bool,
    pub(crate) claims: config::ClaimNames,
    pub(crate) scopes: BTreeMap<String, Vec<String>>,
}

/// How the tokens of an issuer are read.
#[derive(Debug)]
pub(crate) enum Keys {
    /// By the keys of the built-in authorization server.
    Local(Arc<LocalIssuer>),
    /// By keys that are fetched.
    Fetched(Arc<KeySource>),
    /// By asking.
    Asked,
}

/// All issuers whose tokens are accepted.
#[derive(Debug)]
pub(crate) struct Issuers {
    by_name: HashMap<Arc<str>, Arc<Issuer>>,
    /// Who is asked about tokens that cannot be read.
    pub(crate) introspector: Option<(Arc<Issuer>, Introspector)>,
}

impl Issuers {
    pub(crate) fn build(
        config: &BTreeMap<String, config::Issuer>,
        local: Option<Arc<LocalIssuer>>,
        egress: &Egress,
    ) -> Result<Self, BuildError> {
        let mut issuers = Self {
            by_name: HashMap::new(),
            introspector: None,
        };
        if let Some(local) = local {
            let issuer = Issuer::local(local);
            issuers.by_name.insert(Arc::clone(&issuer.id), issuer);
        }
        for (name, config) in config {
            let issuer = Issuer::build(name, config, egress)?;
            let other = issuers
                .by_name
                .insert(Arc::clone(&issuer.id), Arc::clone(&issuer));
            if other.is_some() {
                return Err(BuildError::SameIssuer(config.issuer.clone()));
            }
            if let Some(config) = &config.introspection {
                // A token that tells nothing is shown to one issuer only: to any other it would be somebody else's secret.
                if issuers.introspector.is_some() {
                    return Err(BuildError::SeveralIntrospections);
                }
                let introspector = Introspector::build(name, config, egress)?;
                issuers.introspector = Some((issuer, introspector));
            }
        }
        Ok(issuers)
    }

    /// The issuer with exactly this identifier.
    pub(crate) fn get(&self, issuer: &str) -> Option<&Arc<Issuer>> {
        self.by_name.get(issuer)
    }
}

impl Issuer {
    fn local(local: Arc<LocalIssuer>) -> Arc<Self> {
        Arc::new(Self {
            id: Arc::clone(&local.issuer),
            keys: Keys::Local(local),
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA],
            types: vec![config::TokenType::AccessToken.as_str()],
            audiences: Vec::new(),
            several_resources: false,
            claims: config::ClaimNames::default(),
            scopes: BTreeMap::new(),
        })
    }

    fn build(
        name: &str,
        config: &config::Issuer,
        egress: &Egress,
    ) -> Result<Arc<Self>, BuildError> {
        let invalid = || BuildError::Issuer(name.to_owned());
        let url = Url::parse(&config.issuer).map_err(|_invalid| invalid())?;
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain || !matches!(url.scheme(), "https" | "http") {
            return Err(invalid());
        }
        let fetched = |location| Keys::Fetched(Arc::new(KeySource::new(location, egress.clone())));
        let keys = match (&config.jwks_uri, &config.introspection) {
            (Some(address), _) => {
                let address =
                    Url::parse(address).map_err(|_invalid| BuildError::Keys(name.to_owned()))?;
                if url.scheme() == "https" && address.scheme() != "https" {
                    return Err(BuildError::Keys(name.to_owned()));
                }
                fetched(Location::Written(address))
            }
            (None, Some(_)) => Keys::Asked,
            (None, None) => fetched(Location::Discovered(config.issuer.as_str().into())),
        };
        if config.algorithms.is_empty() || config.types.is_empty() {
            return Err(BuildError::NothingAccepted(name.to_owned()));
        }
        Ok(Arc::new(Self {
            id: config.issuer.as_str().into(),
            keys,
            algorithms: config.algorithms.iter().map(|one| (*one).into()).collect(),
            types: config.types.iter().map(|one| one.as_str()).collect(),
            audiences: config.audiences.clone(),
            several_resources: config.several_resources,
            claims: config.claims.clone(),
            scopes: config.scopes.clone(),
        }))
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self.keys, Keys::Local(_))
    }

    /// The claims of a token by one of this issuer's keys.
    pub(crate) async fn read(&self, token: &str, now_ms: u64) -> Result<serde_json::Value, Reason> {
        let header = crate::jwt::peek(token)?;
        let kid = header.kid.as_deref();
        let keys = match &self.keys {
            Keys::Local(local) => local.keys(),
            Keys::Fetched(source) => source
                .keys(kid, now_ms)
                .await
                .map_err(|_unavailable| Reason::KeysUnavailable)?,
            Keys::Asked => return Err(Reason::Malformed),
        };
        let mut reason = Reason::UnknownKey;
        for key in keys.candidates(kid) {
            match crate::jwt::verify(token, key, &self.algorithms, &self.types) {
                Ok(claims) => return Ok(claims),
                Err(distrust) => reason = Reason::from(distrust),
            }
        }
        Err(reason)
    }
}

impl From<Distrust> for Reason {
    fn from(distrust: Distrust) -> Self {
        match distrust {
            Distrust::Malformed => Self::Malformed,
            Distrust::Algorithm => Self::Algorithm,
            Distrust::Type => Self::Type,
            Distrust::Critical => Self::Critical,
            Distrust::Signature => Self::Signature,
            Distrust::Claims => Self::Claims,
        }
    }
}

#[cfg(test)]
mod tests;
