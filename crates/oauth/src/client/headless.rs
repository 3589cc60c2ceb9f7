//! Connections that are made without a browser on the gateway's pages: by hand, with the address copied from a browser that is
//! elsewhere; and headless, for tests of deployments, where the authorization server asks nobody and answers at once with the
//! redirect.
//!
//! Nobody sees our consent page: whoever begins such a connection has said yes before, and is an administrator.

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

/// Nobody's browser; the same on both sides.
const NO_BROWSER: [u8; 32] = [0; 32];

impl Credentials {
    /// Connects `principal` to `server` by [`authorize_headless`].
    pub async fn connect_headless(
        &self,
        server: &str,
        principal: &str,
        now_ms: u64,
    ) -> Result<(), HeadlessError> {
        let inner = &self.inner;
        let url = self.connect_by_hand(server, principal, now_ms).await?;
        let server = inner.server(server)?;
        let redirect_uri = Url::parse(&inner.registrar.redirect_uri)
            .map_err(|_unparsable| HeadlessError::NoRedirect)?;
        let parameters = follow(&inner.egress, &server.trust, &url, &redirect_uri).await?;
        inner
            .clone()
            .finish(parameters, principal.into(), NO_BROWSER, now_ms)
            .await?;
        Ok(())
    }

    /// Begins a connection that an administrator makes for `principal` by a command: the address to open in whatever browser.
    /// What it is redirected to is for [`Credentials::connected_by_hand`].
    pub async fn connect_by_hand(
        &self,
        server: &str,
        principal: &str,
        now_ms: u64,
    ) -> Result<Url, ConnectError> {
        let inner = &self.inner;
        inner.begin(server, principal, NO_BROWSER, now_ms).await
    }

    /// Completes such a connection by the address that the browser was redirected to.
    pub async fn connected_by_hand(
        &self,
        principal: &str,
        redirected_to: &Url,
        now_ms: u64,
    ) -> Result<(), ConnectError> {
        let query = redirected_to.query().unwrap_or_default();
        let parameters = CallbackParameters::parse(query)?;
        self.inner
            .clone()
            .finish(parameters, principal.into(), NO_BROWSER, now_ms)
            .await?;
        Ok(())
    }
}
