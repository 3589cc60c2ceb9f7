//! What clients learn of the server by themselves (RFC 8414, OpenID Connect Discovery).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::dpop;
use crate::jwt::jwk::Jwk;
use crate::server::client::{AuthMethod, GrantType};
use crate::server::error::{self, Refusal};
use crate::server::{AuthorizationServer, assertion, path};

/// Clients may keep these documents for a while: keys are published long before they sign.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// RFC 8414 §2, with the members of OpenID Connect that parsers of its documents demand.
#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members are those of the RFCs"
)]
struct Document<'a> {
    issuer: &'a str,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    introspection_endpoint: String,
    scopes_supported: Vec<&'a str>,
    response_types_supported: [&'a str; 1],
    response_modes_supported: [&'a str; 1],
    grant_types_supported: Vec<&'a str>,
    code_challenge_methods_supported: [&'a str; 1],
    token_endpoint_auth_methods_supported: Vec<&'a str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    revocation_endpoint_auth_methods_supported: Vec<&'a str>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    introspection_endpoint_auth_methods_supported: Vec<&'a str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_grant_profiles_supported: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    dpop_signing_alg_values_supported: &'a [&'a str],
    protected_resources: Vec<&'a str>,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
    ui_locales_supported: [&'a str; 1],
}

impl AuthorizationServer {
    /// The document of both well-known paths.
    pub(super) fn metadata(&self) -> Response<Bytes> {
        let methods: Vec<&str> = AuthMethod::ALL.iter().map(|it| it.as_str()).collect();
        let confidential: Vec<&str> = AuthMethod::ALL
            .iter()
            .filter(|it| **it != AuthMethod::None)
            .map(|it| it.as_str())
            .collect();
        let algorithms: Vec<String> = assertion::ALGORITHMS.into_iter().map(algorithm).collect();
        let id_jag = !self.config.id_jag_issuers.is_empty();
        let mut grant_types = vec![
            GrantType::AuthorizationCode.as_str(),
            GrantType::RefreshToken.as_str(),
            GrantType::ClientCredentials.as_str(),
        ];
        if id_jag {
            grant_types.push(GrantType::JwtBearer.as_str());
        }
        let document = Document {
            issuer: &self.issuer,
            authorization_endpoint: self.address(path::AUTHORIZE),
            token_endpoint: self.address(path::TOKEN),
            jwks_uri: self.address(path::JWKS),
            registration_endpoint: self
                .config
                .dynamic_registration
                .then(|| self.address(path::REGISTER)),
            revocation_endpoint: self.address(path::REVOKE),
            introspection_endpoint: self.address(path::INTROSPECT),
            scopes_supported: self.scopes.keys().map(String::as_str).collect(),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: grant_types,
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: methods.clone(),
            token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
            revocation_endpoint_auth_methods_supported: methods,
            revocation_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
            introspection_endpoint_auth_methods_supported: confidential,
            introspection_endpoint_auth_signing_alg_values_supported: algorithms,
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: self.config.metadata_documents,
            authorization_grant_profiles_supported: if id_jag {
                vec!["urn:ietf:params:oauth:grant-profile:id-jag"]
            } else {
                Vec::new()
            },
            dpop_signing_alg_values_supported: match self.config.dpop {
                dpop::Mode::Off => &[],
                dpop::Mode::Accepted | dpop::Mode::Required => &dpop::ALGORITHM_NAMES,
            },
            protected_resources: self.resources.iter().map(|it| it.uri.as_str()).collect(),
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ["ES256"],
            ui_locales_supported: ["en"],
        };
        kept(error::json(StatusCode::OK, &document))
    }

    /// The key set (RFC 7517 §5).
    pub(super) async fn jwks(&self) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Set<'a> {
            keys: &'a [Jwk],
        }
        if let Err(error) = self.keys.refresh().await {
            return Refusal::from(error).to_response();
        }
        let keys = self.keys.public();
        kept(error::json(StatusCode::OK, &Set { keys: &keys }))
    }
}

fn algorithm(algorithm: crate::jwt::Algorithm) -> String {
    format!("{algorithm:?}")
}

fn kept(mut response: Response<Bytes>) -> Response<Bytes> {
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(CACHE_CONTROL, KEPT);
        response.headers_mut().remove(PRAGMA);
    }
    response
}
