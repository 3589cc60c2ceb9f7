//! An authorization request (RFC 6749 §4.1.1): checked in the order in which it may be answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::scope::Scopes;
use crate::server::AuthorizationServer;
use crate::server::client::{Client, GrantType};
use crate::server::error::{Code, Refusal};
use crate::server::parameters::Parameters;
use crate::server::pkce;

/// The longest `state`, in bytes.
const STATE_BYTES_MAX: usize = 2048;

/// What a client asks for, once it is known to be in order. It is sealed between the consent page and its form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Asked {
    pub(crate) client: String,
    pub(crate) client_name: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    /// Separated by spaces.
    pub(crate) scopes: String,
    pub(crate) resource: String,
    pub(crate) challenge: String,
    pub(crate) jkt: Option<String>,
}

/// How the resource owner is to be asked (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) none: bool,
    pub(crate) login: bool,
    pub(crate) consent: bool,
}

impl Prompt {
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        let mut prompt = Self::default();
        for word in text
            .unwrap_or_default()
            .split(' ')
            .filter(|it| !it.is_empty())
        {
            match word {
                "none" => prompt.none = true,
                "login" | "select_account" => prompt.login = true,
                "consent" => prompt.consent = true,
                _ => return None,
            }
        }
        let alone = !(prompt.login || prompt.consent);
        (!prompt.none || alone).then_some(prompt)
    }
}

impl AuthorizationServer {
    /// What `client`, whose redirect URI is known to be its own, asks for.
    pub(super) fn read_request(
        &self,
        client: &Arc<Client>,
        redirect_uri: &str,
        parameters: &Parameters,
    ) -> Result<(Asked, Prompt), Refusal> {
        let refuse = |code, reason, text| Err(Refusal::new(code, reason, text));
        for (name, code) in [
            ("request", Code::RequestNotSupported),
            ("request_uri", Code::RequestUriNotSupported),
            ("registration", Code::RegistrationNotSupported),
        ] {
            if parameters.get(name).is_some() {
                return refuse(code, "request_object", "Send plain parameters.");
            }
        }
        match parameters.get("response_type") {
            Some("code") => {}
            None => {
                return refuse(
                    Code::InvalidRequest,
                    "no_response_type",
                    "response_type is missing; it has to be code.",
                );
            }
            Some(_) => {
                return refuse(
                    Code::UnsupportedResponseType,
                    "response_type",
                    "response_type has to be code.",
                );
            }
        }
        if !client.may(GrantType::AuthorizationCode) {
            return refuse(
                Code::UnauthorizedClient,
                "grant_type",
                "The client may not use authorization codes.",
            );
        }
        if parameters
            .get("response_mode")
            .is_some_and(|it| it != "query")
        {
            return refuse(
                Code::InvalidRequest,
                "response_mode",
                "response_mode has to be query.",
            );
        }
        let state = parameters.get("state");
        if state.is_some_and(|state| state.len() > STATE_BYTES_MAX) {
            return refuse(Code::InvalidRequest, "state", "state is too long.");
        }
        // RFC 7636 §4.3: without a method it would be `plain`, which an eavesdropper can answer.
        let challenge = parameters.get("code_challenge").unwrap_or_default();
        if parameters.get("code_challenge_method") != Some("S256") || !pkce::is_challenge(challenge)
        {
            return refuse(
                Code::InvalidRequest,
                "code_challenge",
                "code_challenge with code_challenge_method S256 is required.",
            );
        }
        let resource = self.resource(parameters.get("resource"))?;
        let scopes = self.scopes_for(client, parameters.get("scope"))?;
        let jkt = parameters.get("dpop_jkt");
        if jkt.is_some_and(|jkt| !pkce::is_challenge(jkt)) {
            return refuse(
                Code::InvalidRequest,
                "dpop_jkt",
                "dpop_jkt is not a thumbprint.",
            );
        }
        let Some(prompt) = Prompt::parse(parameters.get("prompt")) else {
            return refuse(
                Code::InvalidRequest,
                "prompt",
                "prompt has to be none, login or consent.",
            );
        };
        let asked = Asked {
            client: client.id.to_string(),
            client_name: client.name.to_string(),
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(str::to_owned),
            scopes: scopes.to_string(),
            resource,
            challenge: challenge.to_owned(),
            jkt: jkt.map(str::to_owned),
        };
        Ok((asked, prompt))
    }

    /// The one of our resources that is asked for (RFC 8707 §2).
    pub(super) fn resource(&self, asked: Option<&str>) -> Result<String, Refusal> {
        let Some(asked) = asked else {
            return match self.resources.as_slice() {
                [only] => Ok(only.uri.to_string()),
                _ => Err(Refusal::new(
                    Code::InvalidTarget,
                    "no_resource",
                    "Name one protected resource by the parameter resource.",
                )),
            };
        };
        // RFC 3986 §6.2.2.1: scheme and host without regard to case; everything else exactly.
        let asked = Url::parse(asked).ok();
        self.resources
            .iter()
            .find(|it| asked.as_ref() == Some(&it.uri))
            .map(|it| it.uri.to_string())
            .ok_or_else(|| {
                Refusal::new(
                    Code::InvalidTarget,
                    "resource",
                    "The resource is not one of this server's.",
                )
            })
    }

    /// The scopes that are asked for, or those of a client that asks for none.
    pub(super) fn scopes_for(
        &self,
        client: &Client,
        asked: Option<&str>,
    ) -> Result<Scopes, Refusal> {
        let invalid = |reason, text| Refusal::new(Code::InvalidScope, reason, text);
        let scopes = if let Some(text) = asked {
            // OpenID Connect's word for a refresh token, which a client's grant types decide on here.
            let words = text.split(' ').filter(|it| *it != "offline_access");
            let text = words.collect::<Vec<_>>().join(" ");
            text.parse::<Scopes>()
                .map_err(|_invalid| invalid("scope_malformed", "The scope is malformed."))?
        } else {
            let own = client.default_scopes.as_ref();
            let own = own.map(|own| own.intersection(&self.catalogue));
            let default = own.filter(|own| !own.is_empty());
            default.unwrap_or_else(|| self.config.default_scopes.clone())
        };
        if scopes.is_empty() && !self.catalogue.is_empty() {
            return Err(invalid("no_scope", "Name the scopes that are needed."));
        }
        if !self.catalogue.contains_all(&scopes) {
            return Err(invalid("unknown_scope", "A scope is unknown here."));
        }
        if let Some(allowed) = &client.scopes
            && !allowed.contains_all(&scopes)
        {
            return Err(invalid(
                "scope_of_client",
                "The client may not have one of these scopes.",
            ));
        }
        Ok(scopes)
    }
}
