//! JSON Web Tokens (RFC 7519): the one place that signs and verifies them.
//!
//! A token is verified against an explicit key and a list of algorithms that the key's owner allowed; what its head says chooses
//! among those, and never more. `none` and the HMAC family do not exist here (RFC 8725 §3.1, §3.2).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, TokenData, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::secret::NoRandomness;

pub use jsonwebtoken::Algorithm;
pub use jsonwebtoken::jwk;

/// Largest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The algorithms that this program will ever verify.
pub const KNOWN: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Which signatures a key makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// A private key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    kid: Box<str>,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Jwk,
    der: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A private key that cannot be used, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a key.
    #[error("this is not a private key for ES256, EdDSA or RS256 in PKCS#8")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// Not PEM.
    #[error("this is not a private key in PEM")]
    Pem,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// A token that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("a token could not be signed")]
pub struct SignError(#[source] jsonwebtoken::errors::Error);

/// Why a token is not believed. None of the texts holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is not a token at all.
    #[error("malformed")]
    Malformed,
    /// Its algorithm is not allowed for the key.
    #[error("algorithm")]
    Algorithm,
    /// Its `typ` is another's (RFC 8725 §3.11).
    #[error("typ")]
    Type,
    /// It demands an extension that is not understood (RFC 7515 §4.1.11).
    #[error("crit")]
    Critical,
    /// Its signature is not by the key.
    #[error("signature")]
    Signature,
    /// Its claims have the wrong shape.
    #[error("claims")]
    Claims,
}

impl SigningKey {
    /// A new key. Its identifier is its thumbprint (RFC 7638).
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let document = match kind {
            KeyKind::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            KeyKind::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random),
        };
        let document = document.map_err(|_unspecified| NoRandomness)?;
        Self::from_pkcs8(kind, document.as_ref())
    }

    /// The key in `der` (PKCS#8, RFC 5208).
    pub fn from_pkcs8(kind: KeyKind, der: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, key) = match kind {
            KeyKind::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(der)),
            KeyKind::EdDsa => (Algorithm::EdDSA, EncodingKey::from_ed_der(der)),
        };
        Self::new(algorithm, key, der)
    }

    /// The key in a PEM file: EC P-256, Ed25519 or RSA.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let read = [
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        ];
        for (algorithm, key) in read {
            if let Ok(key) = key {
                let der = key.as_bytes().to_vec();
                return Self::new(algorithm, key, &der);
            }
        }
        Err(KeyError::Pem)
    }

    fn new(algorithm: Algorithm, key: EncodingKey, der: &[u8]) -> Result<Self, KeyError> {
        let mut public = Jwk::from_encoding_key(&key, algorithm).map_err(KeyError::Invalid)?;
        let kid = public
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(KeyError::Invalid)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(jwk::PublicKeyUse::Signature);
        Ok(Self {
            kid: kid.into(),
            algorithm,
            key,
            public,
            der: Zeroizing::new(der.to_vec()),
        })
    }

    /// Its identifier.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its public half, with `kid`, `alg` and `use`.
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// The key itself, to be sealed. For keys of [`SigningKey::generate`]: PKCS#8.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Signs claims as a token of type `typ`, naming the key by `kid`.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.to_string());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SignError)
    }

    /// Signs claims with the public key itself in the head, as a DPoP proof has it (RFC 9449 §4.2).
    pub fn sign_with_key(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        let mut public = self.public.clone();
        public.common = jwk::CommonParameters::default();
        header.jwk = Some(public);
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SignError)
    }

    /// The thumbprint of its public half (RFC 7638), which tokens are bound to.
    pub fn thumbprint(&self) -> &str {
        &self.kid
    }
}

/// The head of a token, before anything of it is believed.
pub fn peek(token: &str) -> Result<Header, Distrust> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Distrust::Malformed);
    }
    jsonwebtoken::decode_header(token).map_err(|_invalid| Distrust::Malformed)
}

/// Claims of a token, before anything of them is believed: to find out whose token it claims to be, and nothing else.
pub fn peek_claims<T: DeserializeOwned>(token: &str) -> Result<T, Distrust> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Distrust::Malformed);
    }
    jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_invalid| Distrust::Malformed)
}

/// The claims of a token signed by `key` with one of `algorithms`. `types` lists the values of `typ` that are accepted, in lower
/// case and without `application/`; an absent `typ` counts as `jwt`. Times, issuer and audience are the caller's to check.
pub fn verify<T: DeserializeOwned + Clone>(
    token: &str,
    key: &Jwk,
    algorithms: &[Algorithm],
    types: &[&str],
) -> Result<T, Distrust> {
    let header = peek(token)?;
    if !algorithms.contains(&header.alg) || !KNOWN.contains(&header.alg) {
        return Err(Distrust::Algorithm);
    }
    // A key that names an algorithm is for that one alone.
    if let Some(own) = key.common.key_algorithm
        && own.to_string() != format!("{:?}", header.alg)
    {
        return Err(Distrust::Algorithm);
    }
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    if !types.contains(&typ) {
        return Err(Distrust::Type);
    }
    if header.crit.is_some() {
        return Err(Distrust::Critical);
    }
    let key = DecodingKey::from_jwk(key).map_err(|_unusable| Distrust::Signature)?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    match jsonwebtoken::decode::<T>(token, &key, &validation) {
        Ok(TokenData { claims, .. }) => Ok(claims),
        Err(error) => Err(match error.kind() {
            jsonwebtoken::errors::ErrorKind::Json(_) => Distrust::Claims,
            jsonwebtoken::errors::ErrorKind::InvalidSignature => Distrust::Signature,
            jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => Distrust::Algorithm,
            _ => Distrust::Malformed,
        }),
    }
}

#[cfg(test)]
mod tests;
