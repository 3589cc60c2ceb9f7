//! How a message reaches a server that nobody waits for: answers, cancellations, notifications.

use std::sync::Arc;

use bytes::Bytes;

use super::duplex::Duplex;
use super::error::UpstreamError;
use super::http_session::Session;

/// One connection's way out.
#[derive(Clone)]
pub(super) enum Wire {
    Duplex(Arc<Duplex>),
    Http(Arc<Session>),
}

impl Wire {
    pub(super) async fn send(&self, message: Bytes) -> Result<(), UpstreamError> {
        match self {
            Self::Duplex(duplex) => duplex.send(message).await,
            Self::Http(session) => session.send(message).await,
        }
    }

    /// Sends without waiting; a failure is only logged.
    pub(super) fn send_detached(&self, message: Bytes) {
        match self {
            Self::Duplex(duplex) => duplex.send_detached(message),
            Self::Http(session) => session.send_detached(message),
        }
    }
}

/// Runs `work` on its own, where there is still a runtime to run it.
pub(super) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        drop(runtime.spawn(work));
    }
}

/// The params of a `notifications/cancelled` for our request `id`.
pub(super) fn cancelled(id: i64) -> Bytes {
    let params = format!(r#"{{"requestId":{id},"reason":"the request was given up"}}"#);
    portcullis_mcp::encode_notification(
        portcullis_mcp::method::NOTIFICATIONS_CANCELLED,
        Some(params.as_bytes()),
    )
    .into()
}
