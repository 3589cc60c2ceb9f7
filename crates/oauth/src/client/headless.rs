//! Follows an authorization without a browser, for tests of deployments: where the authorization server asks nobody and answers
//! at once with the redirect.
//!
//! Never for people: nobody sees a consent page, neither ours nor theirs.

use bytes::Bytes;
use http::{Request, header};
use portcullis_egress::Egress;
use url::Url;

use crate::client::connect::{CallbackParameters, ConnectError};
use crate::client::fetch::{self, FetchError, Trust};
use crate::client::{CredentialError, Credentials};

/// Why an authorization did not go by itself.
#[derive(Debug, thiserror::Error)]
pub enum HeadlessError {
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An answer, but no redirect to us.
    #[error(
        "the authorization server does not redirect to the gateway at once; it may want a person"
    )]
    NoRedirect,
    /// The redirect's parameters.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The authorization could not begin or end.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// Asks for `url`, follows no redirect, and gives the parameters of the one that is answered. It has to lead to `redirect_uri`.
/// `server` is the server that the authorization is for: as it is on this machine or not, so may be the authorization server.
pub async fn authorize_headless(
    egress: &Egress,
    server: &Url,
    url: &Url,
    redirect_uri: &Url,
) -> Result<CallbackParameters, HeadlessError> {
    let trust = Trust::new(server, [].iter());
    follow(egress, &trust, url, redirect_uri).await
}

async fn follow(
    egress: &Egress,
    trust: &Trust,
    url: &Url,
    redirect_uri: &Url,
) -> Result<CallbackParameters, HeadlessError> {
    let answer = fetch::send(egress, trust, url, Request::get("/"), Bytes::new()).await?;
    let location = answer
        .headers
        .get(header::LOCATION)
        .filter(|_| answer.status.is_redirection())
        .and_then(|value| value.to_str().ok())
        .and_then(|text| url.join(text).ok())
        .ok_or(HeadlessError::NoRedirect)?;
    if location.origin() != redirect_uri.origin() || location.path() != redirect_uri.path() {
        return Err(HeadlessError::NoRedirect);
    }
    Ok(CallbackParameters::parse(
        location.query().unwrap_or_default(),
    )?)
}

impl Credentials {
    /// Connects `principal` to `server` by [`authorize_headless`].
    pub async fn connect_headless(
        &self,
        server: &str,
        principal: &str,
        now_ms: u64,
    ) -> Result<(), HeadlessError> {
        let inner = &self.inner;
        // Nobody's browser; the same on both sides.
        let browser = [0; 32];
        let url = inner.begin(server, principal, browser, now_ms).await?;
        let server = inner.server(server)?;
        let redirect_uri = Url::parse(&inner.registrar.redirect_uri)
            .map_err(|_unparsable| HeadlessError::NoRedirect)?;
        let parameters = follow(&inner.egress, &server.trust, &url, &redirect_uri).await?;
        inner
            .clone()
            .finish(parameters, principal.into(), browser, now_ms)
            .await?;
        Ok(())
    }
}
