//! HTTP+SSE of 2024-11-05: requests go out by POST, everything comes in on one event stream.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use tokio::sync::mpsc;
use url::Url;

use super::duplex::{Duplex, Link};
use super::error::{Garbage, UpstreamError};
use super::event::Unsolicited;
use super::event_stream::{Ended, EventStream};
use super::http::Endpoint;
use super::spec::Spec;

/// Where requests are sent by POST, as the event stream said.
#[derive(Clone)]
pub(super) struct Poster {
    endpoint: Arc<Endpoint>,
    patience: std::time::Duration,
}

impl Poster {
    pub(super) async fn post(&self, message: Bytes) -> Result<(), UpstreamError> {
        let headers = HeaderMap::new();
        let posting = tokio::time::timeout(self.patience, self.endpoint.post(&headers, message));
        let response = posting.await.map_err(|_elapsed| UpstreamError::Timeout)??;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(UpstreamError::Status(status.as_u16())),
        }
    }
}

/// Opens the stream and waits for the address that it names.
pub(super) async fn start(
    endpoint: &Endpoint,
    spec: &Spec,
    inbox: mpsc::Sender<Unsolicited>,
) -> Result<Arc<Duplex>, UpstreamError> {
    let opening = async {
        let mut stream = endpoint.get(&HeaderMap::new()).await?;
        let address = loop {
            match stream.next().await {
                Ok(event) if event.event.as_deref() == Some("endpoint") => break event.data,
                Ok(_) => {}
                Err(Ended::Gone) => return Err(UpstreamError::Lost),
                Err(Ended::TooLarge) => return Err(UpstreamError::TooLarge),
            }
        };
        Ok((stream, address))
    };
    let opened = tokio::time::timeout(spec.probe_timeout, opening).await;
    let (stream, address) = opened.map_err(|_elapsed| UpstreamError::Timeout)??;
    let url = resolve(&endpoint.url, &address)?;
    let poster = Poster {
        endpoint: Arc::new(endpoint.at(url)?),
        patience: spec.timeout,
    };
    let duplex = Duplex::new(spec.name.clone(), spec.limits(), Link::Post(poster), inbox);
    tokio::spawn(read(stream, duplex.clone()));
    Ok(duplex)
}

/// The address in `endpoint` events, relative to `base`. It must be of the same origin: what we
/// send there holds the operator's credentials.
fn resolve(base: &Url, address: &[u8]) -> Result<Url, Garbage> {
    let address = std::str::from_utf8(address)
        .ok()
        .ok_or(Garbage::Endpoint("is not a URL"))?;
    let url = base
        .join(address.trim())
        .ok()
        .ok_or(Garbage::Endpoint("is not a URL"))?;
    if url.origin() != base.origin() || !url.origin().is_tuple() {
        return Err(Garbage::Endpoint("is of another origin than the server"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Garbage::Endpoint("holds credentials"));
    }
    Ok(url)
}

/// Hands each message to `duplex`, until the stream or the connection ends.
async fn read(mut stream: EventStream, duplex: Arc<Duplex>) {
    let failure = loop {
        let event = tokio::select! {
            () = duplex.stop.cancelled() => break None,
            event = stream.next() => event,
        };
        let taken = match event {
            Ok(event) if event.data.is_empty() => Ok(()),
            Ok(event) if event.event.as_deref().is_none_or(|name| name == "message") => {
                duplex.receive(&event.data)
            }
            Ok(_) => Ok(()),
            Err(Ended::Gone) => break Some("the server's event stream ended"),
            Err(Ended::TooLarge) => break Some("the server sent an event that is too large"),
        };
        if taken.is_err() {
            break Some("the server sends other things than MCP messages");
        }
    };
    duplex.finish(failure);
    duplex.ended.cancel();
}

#[cfg(test)]
mod tests;
