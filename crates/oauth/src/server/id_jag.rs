//! Identity assertions that an issuer of the operator's trust makes for a subject (ID-JAG; RFC 7523 §2.1).

use portcullis_egress::Reach;
use serde::Deserialize;

use crate::jwt;
use crate::scope::Scopes;
use crate::secret;
use crate::server::AuthorizationServer;
use crate::server::access::Tokens;
use crate::server::assertion::{self, one_audience};
use crate::server::config::IdJagIssuer;
use crate::server::error::{Code, Refusal};
use crate::server::token::Call;

/// The longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 256;

/// The most groups of a subject.
const GROUPS_MAX: usize = 256;

/// The claims of an assertion.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "one_audience")]
    aud: String,
    client_id: String,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    jti: String,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl AuthorizationServer {
    /// A token for the subject of an assertion. No refresh token: the issuer is asked again instead.
    pub(super) async fn id_jag(&self, call: &Call<'_>) -> Result<Tokens, Refusal> {
        // An assertion travels through the client, which has to prove that it is the one it was made for.
        if call.client.is_public() {
            return Err(Refusal::new(
                Code::UnauthorizedClient,
                "public_client",
                "A public client may not use assertions.",
            ));
        }
        let token = call.form.get("assertion").ok_or_else(|| {
            Refusal::new(
                Code::InvalidRequest,
                "no_assertion",
                "assertion is missing.",
            )
        })?;
        let (name, claims) = self.verify_id_jag(token, call).await?;
        let asked = call.form.get("resource");
        let claimed = claims.resource.as_deref();
        let resource = self.resource(asked.or(claimed))?;
        if let Some(claimed) = claimed
            && self.resource(Some(claimed))? != resource
        {
            return Err(Refusal::new(
                Code::InvalidTarget,
                "other_resource",
                "The assertion is for another resource.",
            ));
        }
        let scopes = self.id_jag_scopes(&claims, call)?;
        let (claim, issuer) = (&claims.others, &self.config.id_jag_issuers);
        let groups = issuer
            .get(name)
            .and_then(|it| it.groups_claim.as_deref())
            .and_then(|name| claim.get(name))
            .and_then(serde_json::Value::as_array)
            .map(|groups| {
                let texts = groups.iter().filter_map(serde_json::Value::as_str);
                texts.take(GROUPS_MAX).map(str::to_owned).collect()
            })
            .unwrap_or_default();
        let subject = format!("{name}:{}", claims.sub);
        self.issue_by_right(call, &subject, &resource, &scopes, groups)
            .await
    }

    async fn verify_id_jag(&self, token: &str, call: &Call<'_>) -> Result<(&str, Claims), Refusal> {
        let kid = jwt::peek(token)
            .map_err(|_malformed| distrusted("assertion_malformed"))?
            .kid;
        // What it says chooses the issuer whose keys have to have signed it, and nothing else.
        let (name, issuer) = self
            .id_jag_issuer(token)
            .ok_or_else(|| distrusted("assertion_issuer"))?;
        let keys = self
            .remote_keys
            .get(
                &issuer.jwks_uri,
                Reach::Configured,
                kid.as_deref(),
                call.now_ms,
            )
            .await;
        let claims: Claims = assertion::verify(
            token,
            &keys,
            &issuer.algorithms,
            &["oauth-id-jag+jwt"],
        )
        .map_err(|distrust| {
            tracing::info!(issuer = issuer.issuer, %distrust, "an identity assertion is refused");
            distrusted("assertion_distrusted")
        })?;
        if claims.iss != issuer.issuer {
            return Err(distrusted("assertion_issuer"));
        }
        if claims.aud != *self.issuer {
            return Err(distrusted("assertion_audience"));
        }
        let client = issuer.clients.get(&claims.client_id);
        if client.unwrap_or(&claims.client_id) != &*call.client.id {
            return Err(distrusted("assertion_client"));
        }
        assertion::check_times(claims.exp, claims.nbf, Some(claims.iat), call.now_ms)
            .map_err(distrusted)?;
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if claims.sub.is_empty()
            || claims.sub.len() > SUBJECT_BYTES_MAX
            || !claims.sub.chars().all(plain)
        {
            return Err(distrusted("assertion_subject"));
        }
        let digest = secret::sha256(claims.jti.as_bytes());
        let id = format!("id-jag:{name} {}", secret::base64url(&digest));
        let life_ms = (assertion::LIFE_MAX + assertion::LEEWAY) * 1000;
        let until_ms = call.now_ms.saturating_add(life_ms);
        if claims.jti.is_empty() || !self.store.spent().take(id, until_ms).await? {
            return Err(distrusted("assertion_replay"));
        }
        Ok((name, claims))
    }

    fn id_jag_issuer(&self, token: &str) -> Option<(&str, &IdJagIssuer)> {
        let said = assertion::unverified_issuer(token)?;
        self.config
            .id_jag_issuers
            .iter()
            .find(|(_, it)| it.issuer == said)
            .map(|(name, it)| (name.as_str(), it))
    }

    /// Those asked for, within those that the issuer allows, within those of the client.
    fn id_jag_scopes(&self, claims: &Claims, call: &Call<'_>) -> Result<Scopes, Refusal> {
        let Some(allowed) = claims.scope.as_deref() else {
            return self.scopes_for(&call.client, call.form.get("scope"));
        };
        let allowed: Scopes = allowed
            .parse()
            .map_err(|_invalid| distrusted("assertion_scope"))?;
        if let Some(asked) = call.form.get("scope") {
            let scopes = self.scopes_for(&call.client, Some(asked))?;
            if !allowed.contains_all(&scopes) {
                return Err(Refusal::new(
                    Code::InvalidScope,
                    "wider_scope",
                    "The scope goes beyond the assertion.",
                ));
            }
            return Ok(scopes);
        }
        let known = allowed.intersection(&self.catalogue);
        let own = call.client.scopes.as_ref();
        let scopes = own.map_or_else(|| known.clone(), |own| known.intersection(own));
        self.scopes_for(&call.client, Some(&scopes.to_string()))
    }
}

fn distrusted(reason: &'static str) -> Refusal {
    Refusal::new(
        Code::InvalidGrant,
        reason,
        "The assertion is not valid here, or no longer.",
    )
}
