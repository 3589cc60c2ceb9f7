//! Login: who sits at the browser.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use portcullis_egress::Egress;
use portcullis_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::page;
use crate::vault::Vault;

/// Settings of accounts and login.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// What a [`Login`] is built on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where accounts and sessions are kept.
    pub store: Store,
    /// What seals secrets at rest and in cookies.
    pub vault: Arc<Vault>,
    /// The way to providers.
    pub egress: Egress,
    /// The gateway's own base, without a path.
    pub public_url: Url,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {}

/// The login of accounts, and the sessions of browsers.
#[derive(Debug)]
pub struct Login {
    parts: Parts,
}

/// A browser that is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account's name.
    pub account: Box<str>,
    /// What the account is called on pages.
    pub display: Box<str>,
    /// Its groups.
    pub groups: Vec<Box<str>>,
    /// When its owner authenticated, in Unix milliseconds.
    pub authenticated_ms: u64,
    /// What every form of this session has to carry.
    pub csrf: Box<str>,
}

impl Login {
    /// The login that `config` describes.
    pub fn build(config: &Config, parts: Parts) -> Result<Self, BuildError> {
        Ok(Self { parts })
    }

    /// Whether this answers requests for `path`.
    pub fn owns(path: &str) -> bool {
        matches!(path, "/oauth/login" | "/oauth/logout")
            || path.starts_with("/oauth/login/")
            || path == "/oauth/account"
            || path.starts_with("/oauth/account/")
            || path.starts_with("/oauth/provider/")
    }

    /// The session whose cookie a request has, while it lasts.
    pub async fn session(&self, headers: &HeaderMap, now_ms: u64) -> Option<Session> {
        None
    }

    /// Sends a browser to the login, and from there to `return_to`, a path of this gateway with its query.
    pub fn start(&self, return_to: &str) -> Response<Bytes> {
        page::see_other("/oauth/login")
    }

    /// Answers a request for a path that this [owns](Self::owns).
    pub async fn respond(
        &self,
        request: Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        page::message(StatusCode::NOT_FOUND, "Not found", "There is no such page.")
    }
}
