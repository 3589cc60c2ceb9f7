//! HTTP: each request answered with JSON, as far as the fault allows.

use std::{io::Write as _, net::SocketAddr, process, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::fault::{Fault, Reaction};

/// Serves at `address` until the process ends; says on standard output where.
///
/// # Errors
///
/// The address cannot be bound.
pub(crate) async fn serve(fault: Fault, address: SocketAddr) -> anyhow::Result<()> {
    let fault = Arc::new(fault);
    let listener = TcpListener::bind(address).await?;
    writeln!(
        std::io::stdout(),
        "listening http://{}/mcp",
        listener.local_addr()?
    )?;
    loop {
        let (stream, _) = listener.accept().await?;
        let fault = Arc::clone(&fault);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&fault, request));
            // A client that goes away is no news to a fixture.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(
    fault: &Fault,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.method() != Method::POST {
        return Ok(reply(StatusCode::METHOD_NOT_ALLOWED, String::new()));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(match fault.react(&message).await {
        Reaction::Nothing => reply(StatusCode::ACCEPTED, String::new()),
        Reaction::Silence => std::future::pending().await,
        Reaction::Message(status, text) => {
            reply(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), text)
        }
        Reaction::Noise(noise, _) => reply(StatusCode::OK, noise.join("\n")),
        Reaction::Crash => process::exit(1),
    })
}

fn reply(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(text));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}
