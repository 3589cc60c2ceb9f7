//! Which era and transport a server speaks, found out by asking it, and the handshake of each.
//!
//! The order is that of the specification's pages on versioning and transports (2026-07-28):
//! `server/discover` first; whatever is neither its result nor an error of the modern era leads to
//! `initialize`; and over HTTP, when that is refused too, to the event stream of 2024-11-05.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use portcullis_mcp::{Era, Id, Object, Outcome, RpcError, Version, code, method, quote};
use portcullis_sandbox::Command;
use tokio::sync::mpsc;

use super::Upstream;
use super::connection::{Call, Channel, DuplexOwner, SessionOwner};
use super::duplex::{Duplex, InFlight, Kind};
use super::envelope::Envelope;
use super::error::{Garbage, UpstreamError};
use super::event::{Answer, Event, Unsolicited};
use super::http::Endpoint;
use super::http_exchange::{self, HttpExchange};
use super::http_session::Session;
use super::profile::{Hello, Profile};
use super::spec::{Grants, Transport};
use super::{sse_2024, stdio};
use crate::bridge::gateway_info;
use crate::config::{EraSetting, HttpTransport};

/// What was found out about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It answers `server/discover`.
    Modern,
    /// It wants `initialize`, in one of these versions if it named any.
    Legacy(Vec<Version>),
    /// It wants `initialize`, over HTTP+SSE.
    Sse2024,
}

/// A connection after its handshake.
pub(super) struct Opened {
    pub(super) hello: Hello,
    pub(super) channel: Channel,
    pub(super) known: Known,
}

/// What a reply to `server/discover` says.
enum Verdict {
    Modern(Box<Hello>),
    /// Not modern; the legacy versions it named, if any.
    Legacy(Vec<Version>),
    /// It refused the very version that it names as its own: to be asked once more.
    Again,
    /// It knows modern refusals but not this method: modern, unless it takes `initialize`.
    Undiscoverable(RpcError),
}

/// Everything one attempt to connect needs.
pub(super) struct Attempt<'a> {
    pub(super) upstream: &'a Upstream,
    /// Where an HTTP server is, and what it is shown.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    pub(super) profile: &'a Arc<Profile>,
    pub(super) inbox: &'a mpsc::Sender<Unsolicited>,
    pub(super) known: Option<Known>,
}

impl Attempt<'_> {
    pub(super) async fn open(&self) -> Result<Opened, UpstreamError> {
        match &self.upstream.spec().transport {
            Transport::Stdio(command, grants) => self.stdio(command, grants).await,
            Transport::Http { kind, .. } => {
                let Some(endpoint) = &self.endpoint else {
                    return Err(Garbage::Endpoint("is not a URL").into());
                };
                self.http(endpoint, *kind).await
            }
        }
    }

    /// Whether `server/discover` is tried, and whether anything else is.
    fn plan(&self) -> (bool, bool) {
        match self.upstream.spec().era {
            EraSetting::Modern => (true, false),
            EraSetting::Legacy => (false, true),
            EraSetting::Auto => (
                !matches!(self.known, Some(Known::Legacy(_) | Known::Sse2024)),
                true,
            ),
        }
    }

    /// The legacy versions that the server named before.
    fn offered(&self) -> Vec<Version> {
        match &self.known {
            Some(Known::Legacy(offered)) => offered.clone(),
            Some(Known::Modern | Known::Sse2024) | None => Vec::new(),
        }
    }

    async fn stdio(&self, command: &Command, grants: &Grants) -> Result<Opened, UpstreamError> {
        let prepared = match &grants.preparation {
            Some(preparation) => {
                let patience = self.upstream.spec().timeout;
                Some(preparation.apply(command, grants, patience).await?)
            }
            None => None,
        };
        let (command, grants) = match &prepared {
            Some((command, grants)) => (command, grants),
            None => (command, grants),
        };
        let (tries_modern, tries_legacy) = self.plan();
        let mut child = self.spawn(command, grants).await?;
        let mut offered = self.offered();
        if tries_modern {
            match self.discover_duplex(&child.0).await {
                Ok(Verdict::Modern(hello)) => {
                    child.0.set_modern();
                    return Ok(Opened {
                        hello: *hello,
                        channel: Channel::Duplex(child),
                        known: Known::Modern,
                    });
                }
                Ok(Verdict::Legacy(versions)) if tries_legacy => offered = versions,
                Ok(verdict) => return Err(verdict.refusal()),
                Err(UpstreamError::Timeout) if tries_legacy => {}
                // Some servers end when the first message is not `initialize`.
                Err(UpstreamError::Exited(_)) if tries_legacy => {
                    child = self.spawn(command, grants).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let hello = self.initialize_duplex(&child.0, &offered).await?;
        Ok(Opened {
            hello,
            channel: Channel::Duplex(child),
            known: Known::Legacy(offered),
        })
    }

    async fn spawn(
        &self,
        command: &Command,
        grants: &Grants,
    ) -> Result<DuplexOwner, UpstreamError> {
        let upstream = self.upstream;
        let inbox = self.inbox.clone();
        stdio::start(&upstream.local, command, grants, upstream.spec(), inbox)
            .await
            .map(DuplexOwner)
    }

    async fn http(
        &self,
        endpoint: &Arc<Endpoint>,
        kind: HttpTransport,
    ) -> Result<Opened, UpstreamError> {
        if kind == HttpTransport::Sse || self.known == Some(Known::Sse2024) {
            return self.sse(endpoint).await;
        }
        let (tries_modern, tries_legacy) = self.plan();
        let mut offered = self.offered();
        let mut undiscoverable = None;
        if tries_modern {
            match self.discover_http(endpoint).await {
                Ok((Verdict::Modern(hello), session)) => {
                    return Ok(Opened {
                        hello: *hello,
                        channel: Channel::Http(session),
                        known: Known::Modern,
                    });
                }
                Ok((Verdict::Undiscoverable(error), session)) => {
                    undiscoverable = Some((error, session));
                }
                Ok((Verdict::Legacy(versions), _)) if tries_legacy => offered = versions,
                Ok((verdict @ (Verdict::Legacy(_) | Verdict::Again), _)) => {
                    return Err(verdict.refusal());
                }
                Err(error) if tries_legacy && may_be_legacy(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let refused = if tries_legacy {
            match self.initialize_http(endpoint, &offered).await {
                Ok((hello, session)) => {
                    return Ok(Opened {
                        hello,
                        channel: Channel::Http(session),
                        known: Known::Legacy(offered),
                    });
                }
                Err(error) => Some(error),
            }
        } else {
            None
        };
        match (undiscoverable, refused) {
            (Some((error, session)), _) => {
                tracing::warn!(
                    server = %self.upstream.spec().name,
                    code = error.code,
                    "a modern server does not implement `server/discover`: it is taken to offer nothing"
                );
                Ok(Opened {
                    hello: Hello::silent(Version::LATEST),
                    channel: Channel::Http(session),
                    known: Known::Modern,
                })
            }
            (None, Some(error)) if kind == HttpTransport::Auto && may_be_sse(&error) => {
                // The first refusal tells the operator more than that of the oldest transport.
                self.sse(endpoint).await.map_err(|second| {
                    tracing::debug!(error = %second, "not an HTTP+SSE server either");
                    error
                })
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(UpstreamError::Closed),
        }
    }

    async fn sse(&self, endpoint: &Endpoint) -> Result<Opened, UpstreamError> {
        let inbox = self.inbox.clone();
        let channel = sse_2024::start(endpoint, self.upstream.spec(), inbox).await?;
        let channel = DuplexOwner(channel);
        let hello = self.initialize_duplex(&channel.0, &[]).await?;
        Ok(Opened {
            hello,
            channel: Channel::Duplex(channel),
            known: Known::Sse2024,
        })
    }

    async fn discover_duplex(&self, duplex: &Arc<Duplex>) -> Result<Verdict, UpstreamError> {
        let params = self.discover_params();
        let wait = self.upstream.spec().probe_timeout;
        let asking = || ask(duplex, method::SERVER_DISCOVER, params.as_deref(), wait);
        match judge(asking().await?, false)? {
            Verdict::Again => judge(asking().await?, false),
            verdict => Ok(verdict),
        }
    }

    async fn discover_http(
        &self,
        endpoint: &Arc<Endpoint>,
    ) -> Result<(Verdict, SessionOwner), UpstreamError> {
        match self.discover_http_once(endpoint).await? {
            (Verdict::Again, _) => self.discover_http_once(endpoint).await,
            found => Ok(found),
        }
    }

    async fn discover_http_once(
        &self,
        endpoint: &Arc<Endpoint>,
    ) -> Result<(Verdict, SessionOwner), UpstreamError> {
        let spec = self.upstream.spec();
        let inbox = self.inbox.clone();
        let session = Session::new(
            spec.name.clone(),
            endpoint.clone(),
            Version::LATEST,
            None,
            inbox,
        );
        let id = session.fresh_id();
        let call = Call {
            method: method::SERVER_DISCOVER.into(),
            params: None,
            profile: self.profile.clone(),
            progress: false,
            name_header: None,
            param_headers: Vec::new(),
            long_lived: false,
        };
        let params = self.discover_params();
        let (headers, message) = http_exchange::encode(&session, id, &call, params.as_deref())?;
        let asking = async {
            HttpExchange::start(&session, id, headers, message, true)
                .await?
                .finish()
                .await
        };
        let answered = tokio::time::timeout(spec.probe_timeout, asking).await;
        let answer = answered.map_err(|_elapsed| UpstreamError::Timeout)??;
        Ok((judge(answer, true)?, SessionOwner(session)))
    }

    fn discover_params(&self) -> Option<Bytes> {
        Envelope {
            version: Version::LATEST,
            profile: self.profile,
            progress: None,
        }
        .apply(None)
    }

    async fn initialize_duplex(
        &self,
        duplex: &Arc<Duplex>,
        offered: &[Version],
    ) -> Result<Hello, UpstreamError> {
        let params = self.initialize_params(offered);
        let wait = self.upstream.spec().timeout;
        let answer = ask(duplex, method::INITIALIZE, Some(&params), wait).await?;
        let hello = greeted(answer)?;
        let message = portcullis_mcp::encode_notification(method::NOTIFICATIONS_INITIALIZED, None);
        duplex.send(message.into()).await?;
        Ok(hello)
    }

    async fn initialize_http(
        &self,
        endpoint: &Arc<Endpoint>,
        offered: &[Version],
    ) -> Result<(Hello, SessionOwner), UpstreamError> {
        let spec = self.upstream.spec();
        let inbox = self.inbox.clone();
        let before = Session::before_handshake(spec.name.clone(), endpoint.clone(), inbox.clone());
        let params = self.initialize_params(offered);
        let id = before.fresh_id();
        let message =
            portcullis_mcp::encode_request(&Id::Number(id), method::INITIALIZE, Some(&params));
        let asking = async {
            let headers = HeaderMap::new();
            let mut exchange =
                HttpExchange::start(&before, id, headers, message.into(), true).await?;
            let answer = exchange.finish().await?;
            let session_id = std::mem::replace(&mut exchange.session_id, Ok(None))?;
            Ok::<_, UpstreamError>((answer, session_id))
        };
        let answered = tokio::time::timeout(spec.timeout, asking).await;
        let (answer, session_id) = answered.map_err(|_elapsed| UpstreamError::Timeout)??;
        let hello = greeted(answer)?;
        let session = Session::new(
            spec.name.clone(),
            endpoint.clone(),
            hello.version,
            session_id,
            inbox,
        );
        let owner = SessionOwner(session.clone());
        let initialized = method::NOTIFICATIONS_INITIALIZED;
        let message = portcullis_mcp::encode_notification(initialized, None);
        session.notify(initialized, message.into()).await?;
        Ok((hello, owner))
    }

    /// Asks for the client's version if the server named it, or named none.
    fn initialize_params(&self, offered: &[Version]) -> Bytes {
        let wanted = self
            .profile
            .version
            .filter(|version| version.era() == Era::Legacy);
        let wanted = wanted.unwrap_or(Version::LATEST_LEGACY);
        let version = if offered.is_empty() || offered.contains(&wanted) {
            wanted
        } else {
            offered.iter().max().copied().unwrap_or(wanted)
        };
        let mut params = Object::new();
        params.set("protocolVersion", quote(version.as_str()));
        params.set("capabilities", self.profile.capabilities.to_vec());
        // The modern era lets a client leave its name out; `initialize` wants one.
        let named = Object::parse(&self.profile.client_info)
            .is_some_and(|info| info.contains("name") && info.contains("version"));
        let info = if named {
            self.profile.client_info.to_vec()
        } else {
            gateway_info()
        };
        params.set("clientInfo", info);
        params.to_vec().into()
    }
}

/// One request of the handshake on a duplex channel.
async fn ask(
    duplex: &Arc<Duplex>,
    method: &str,
    params: Option<&[u8]>,
    wait: Duration,
) -> Result<Answer, UpstreamError> {
    let asking = async {
        let mut flight = duplex.start(Kind::Handshake)?;
        let message = portcullis_mcp::encode_request(&Id::Number(flight.id), method, params);
        duplex.send_request(&flight, message.into()).await?;
        answer(&mut flight).await
    };
    match tokio::time::timeout(wait, asking).await {
        Ok(Err(UpstreamError::Closed)) => {
            // The channel may break before the reason is known.
            duplex.over.cancelled().await;
            Err(duplex
                .reason()
                .map_or(UpstreamError::Closed, UpstreamError::Exited))
        }
        Ok(result) => result,
        Err(_elapsed) => Err(UpstreamError::Timeout),
    }
}

async fn answer(flight: &mut InFlight) -> Result<Answer, UpstreamError> {
    loop {
        if let Event::Done(result) = flight.next().await {
            return result;
        }
    }
}

fn greeted(answer: Answer) -> Result<Hello, UpstreamError> {
    match answer.outcome {
        Outcome::Result(raw) => Ok(Hello::initialized(&raw)?),
        Outcome::Error(error) => Err(UpstreamError::Refused {
            error,
            http_status: answer.http_status,
        }),
    }
}

/// What a reply to `server/discover` says; only over HTTP does "method not found" of the modern era
/// differ from that of the legacy era, by its status.
fn judge(answer: Answer, is_http: bool) -> Result<Verdict, UpstreamError> {
    let error = match answer.outcome {
        Outcome::Result(raw) => {
            let result = Object::parse(&raw);
            let versions = result
                .as_ref()
                .and_then(|result| versions(result, "supportedVersions"));
            // Some legacy servers answer any request with some result.
            return match versions {
                None => Ok(Verdict::Legacy(Vec::new())),
                Some((known, _)) if known.contains(&Version::LATEST) => {
                    let hello = Hello::discovered(&raw, Version::LATEST)?;
                    Ok(Verdict::Modern(Box::new(hello)))
                }
                Some((known, all)) => legacy_only(known, all),
            };
        }
        Outcome::Error(error) => error,
    };
    match error.code {
        code::UNSUPPORTED_PROTOCOL_VERSION => {
            let data = error.data.as_deref().and_then(Object::parse);
            match data.as_ref().and_then(|data| versions(data, "supported")) {
                Some((known, _)) if known.contains(&Version::LATEST) => Ok(Verdict::Again),
                Some((known, all)) => legacy_only(known, all),
                None => Ok(Verdict::Legacy(Vec::new())),
            }
        }
        code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY => Err(UpstreamError::Refused {
            error,
            http_status: answer.http_status,
        }),
        code::METHOD_NOT_FOUND if is_http && answer.http_status == 404 => {
            Ok(Verdict::Undiscoverable(error))
        }
        _ => Ok(Verdict::Legacy(Vec::new())),
    }
}

/// The legacy versions among `known`; an error if there are none, or if the server refused a
/// version that it names.
fn legacy_only(known: Vec<Version>, all: String) -> Result<Verdict, UpstreamError> {
    let legacy: Vec<_> = known
        .into_iter()
        .filter(|version| version.era() == Era::Legacy)
        .collect();
    if legacy.is_empty() {
        Err(Garbage::Version(all).into())
    } else {
        Ok(Verdict::Legacy(legacy))
    }
}

/// The versions that we know in the array `key`, and a short text of all of them.
fn versions(object: &Object<'_>, key: &str) -> Option<(Vec<Version>, String)> {
    let items = portcullis_mcp::elements(object.get(key)?)?;
    let texts: Vec<_> = items
        .into_iter()
        .filter_map(portcullis_mcp::string)
        .collect();
    let known = texts
        .iter()
        .filter_map(|text| Version::parse(text))
        .collect();
    Some((known, texts.join(", ").chars().take(128).collect()))
}

/// Whether what came of `server/discover` leaves it open that the server takes `initialize`.
const fn may_be_legacy(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Status(status) => !matches!(status, 403 | 407 | 408 | 429 | 502..=504),
        UpstreamError::Timeout
        | UpstreamError::Garbage(_)
        | UpstreamError::Lost
        | UpstreamError::Broken(_) => true,
        _ => false,
    }
}

/// Whether what came of `initialize` leaves it open that the server speaks HTTP+SSE.
const fn may_be_sse(error: &UpstreamError) -> bool {
    let (UpstreamError::Status(status)
    | UpstreamError::Refused {
        http_status: status,
        ..
    }) = error
    else {
        return false;
    };
    matches!(status, 400 | 404 | 405)
}

impl Verdict {
    /// The error when the operator's settings leave nothing else to try.
    fn refusal(self) -> UpstreamError {
        match self {
            Self::Undiscoverable(error) => UpstreamError::Refused {
                error,
                http_status: 404,
            },
            Self::Legacy(versions) if versions.is_empty() => {
                Garbage::Version("legacy versions only".to_owned()).into()
            }
            Self::Legacy(versions) => {
                let versions: Vec<_> = versions.iter().map(|version| version.as_str()).collect();
                Garbage::Version(versions.join(", ")).into()
            }
            Self::Again => Garbage::Version("a version that it refuses".to_owned()).into(),
            Self::Modern(_) => UpstreamError::Closed,
        }
    }
}

#[cfg(test)]
mod tests;
