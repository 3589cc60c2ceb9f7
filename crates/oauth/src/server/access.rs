//! Access tokens of the built-in server: JWTs by RFC 9068.

use serde::{Deserialize, Serialize};

use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::error::Refusal;

/// The claims of an access token (RFC 9068 §2.2).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AccessClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) jti: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<Confirmation>,
}

/// The key that a token is bound to (RFC 7800 §3.1, RFC 9449 §6.1).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Confirmation {
    pub(crate) jkt: String,
}

/// What a token is to say.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) subject: &'a str,
    pub(crate) client: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) scopes: &'a str,
    pub(crate) groups: Vec<String>,
    pub(crate) grant: Option<&'a str>,
    pub(crate) jkt: Option<&'a str>,
}

/// The answer to a token request (RFC 6749 §5.1).
#[derive(Serialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
    pub(crate) scope: String,
    /// For the record only.
    #[serde(skip)]
    pub(crate) jti: String,
}

impl AuthorizationServer {
    /// Signs an access token.
    pub(super) async fn issue(&self, access: Access<'_>, now_ms: u64) -> Result<Tokens, Refusal> {
        let signer = self.keys.signer(now_ms).await?;
        let iat = now_ms / 1000;
        let expires_in = self.config.access_token_ttl.as_secs();
        let jti = secret::base64url(&secret::random::<16>()?);
        let claims = AccessClaims {
            iss: self.issuer.to_string(),
            sub: access.subject.to_owned(),
            aud: access.resource.to_owned(),
            exp: iat.saturating_add(expires_in),
            iat,
            jti: jti.clone(),
            client_id: access.client.to_owned(),
            scope: access.scopes.to_owned(),
            grant: access.grant.map(str::to_owned),
            groups: access.groups,
            cnf: access.jkt.map(|jkt| Confirmation {
                jkt: jkt.to_owned(),
            }),
        };
        Ok(Tokens {
            access_token: signer.sign("at+jwt", &claims)?,
            token_type: if access.jkt.is_some() {
                "DPoP"
            } else {
                "Bearer"
            },
            expires_in,
            refresh_token: None,
            scope: claims.scope,
            jti,
        })
    }

    /// The claims of an access token of ours that has not expired, whether or not it is revoked.
    pub(super) async fn read_access_token(&self, token: &str, now_ms: u64) -> Option<AccessClaims> {
        use crate::jwt;
        let header = jwt::peek(token).ok()?;
        self.keys.refresh().await.ok()?;
        let keys = self.keys.public();
        let key = keys
            .iter()
            .find(|key| key.common.key_id.is_some() && key.common.key_id == header.kid)?;
        let claims: AccessClaims =
            jwt::verify(token, key, &[jwt::Algorithm::ES256], &["at+jwt"]).ok()?;
        (claims.iss == *self.issuer && claims.exp > now_ms / 1000).then_some(claims)
    }
}
