//! The credential that a connection shows to its server, and what is done when the server does not accept it.
//!
//! It is obtained by the gateway for this server: nothing that a client sent is in it. It goes to the server's own origin, which
//! [`Credentials::authorize`] checks for each request.

use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use portcullis_mcp::{ServerName, member, method as methods, string};
use portcullis_oauth::client::{Credentials, GiveUp, Need, Refusal, RequestTarget, Used, Verdict};
use url::Url;

use super::error::{NoCredential, UpstreamError};
use crate::clock::Clock;

/// Whose credential a connection shows.
#[derive(Clone)]
pub struct Credential {
    /// Where it is kept and renewed.
    pub credentials: Arc<Credentials>,
    /// The server that it is for.
    pub server: ServerName,
    /// Whose it is.
    pub holder: Box<str>,
    /// Whether the holder can connect in a browser, rather than by an administrator's command.
    pub by_browser: bool,
    /// The time of day.
    pub clock: Clock,
}

impl Credential {
    /// Puts it into a request for `url`, in place of any field of the same name. Gives what tells it from its successor.
    pub(super) async fn show<B>(
        &self,
        request: &mut Request<B>,
        url: &Url,
    ) -> Result<Option<Used>, UpstreamError> {
        let method = request.method().clone();
        let target = RequestTarget {
            method: &method,
            url,
        };
        let (server, now_ms) = (self.server.as_str(), self.clock.now().0);
        let shown = self
            .credentials
            .authorize(server, &self.holder, target, now_ms)
            .await;
        match shown {
            Ok(None) => Ok(None),
            Ok(Some(authorization)) => {
                for (name, value) in &authorization.headers {
                    request.headers_mut().insert(name, value.clone());
                }
                Ok(authorization.used)
            }
            Err(Need::Connect { url }) => Err(self.connect_first(url)),
            Err(Need::Failed(cause)) => {
                Err(UpstreamError::Credential(NoCredential::Unobtainable(cause)))
            }
        }
    }

    /// Takes note of what an answer says of it. `true`: the request is to be sent again, with another.
    pub(super) async fn refused<B>(
        &self,
        response: &Response<B>,
        used: Option<Used>,
        attempt: u32,
        operation: impl FnOnce() -> String,
    ) -> Result<bool, UpstreamError> {
        let server = self.server.as_str();
        let (status, headers) = (response.status(), response.headers());
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.credentials.observe(server, headers);
            return Ok(false);
        }
        let operation = operation();
        let refusal = Refusal {
            status,
            headers,
            operation: &operation,
            used,
            attempt,
        };
        let now_ms = self.clock.now().0;
        let verdict = self
            .credentials
            .refused(server, &self.holder, refusal, now_ms);
        match verdict.await {
            Verdict::Retry => Ok(true),
            Verdict::Connect { url } => Err(self.connect_first(url)),
            // The answer may say more than its status.
            Verdict::GiveUp(GiveUp::NotAccepted | GiveUp::Forbidden) => Ok(false),
            Verdict::GiveUp(GiveUp::Failed(cause)) => {
                Err(UpstreamError::Credential(NoCredential::Unobtainable(cause)))
            }
            Verdict::GiveUp(reason @ (GiveUp::Attempts | GiveUp::Scopes)) => {
                Err(UpstreamError::Credential(NoCredential::Refused(reason)))
            }
        }
    }

    fn connect_first(&self, url: Url) -> UpstreamError {
        if self.by_browser {
            return UpstreamError::ConnectFirst { url };
        }
        UpstreamError::ConnectByCommand {
            server: self.server.clone(),
            holder: self.holder.clone(),
        }
    }
}

/// What a request asks for, such as `tools/call echo`: how often more scopes are asked for is counted for each.
pub(super) fn operation(http_method: &Method, message: &[u8]) -> String {
    let Some(name) = member(message, "method").and_then(string) else {
        return http_method.as_str().to_owned();
    };
    let params = member(message, "params");
    let target = methods::name_param(&name)
        .and_then(|key| member(params?, key))
        .and_then(string);
    match target {
        Some(target) => format!("{name} {target}"),
        None => name.into_owned(),
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} for {})", self.server, self.holder)
    }
}

#[cfg(test)]
mod tests;
