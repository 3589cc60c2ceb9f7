//! Servers and requests that the tests share.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use portcullis_egress::{Client, EgressError, Resolver};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server that answers with the path it was asked for, and counts.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let connections = Arc::clone(&server.connections);
        let requests = Arc::clone(&server.requests);
        let acceptor = tls.map(TlsAcceptor::from);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let requests = Arc::clone(&requests);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        requests.fetch_add(1, Ordering::SeqCst);
                        ready(Ok::<_, Infallible>(answer(&request)))
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    match acceptor {
                        None => {
                            let serving = builder.serve_connection(TokioIo::new(tcp), service);
                            serving.await.ok();
                        }
                        Some(acceptor) => {
                            let Ok(tls) = acceptor.accept(tcp).await else {
                                return;
                            };
                            let serving = builder.serve_connection(TokioIo::new(tls), service);
                            serving.await.ok();
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = format!("{:?} {}", request.version(), request.uri().path());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    if request.uri().path() == "/redirect" {
        *response.status_mut() = http::StatusCode::FOUND;
        let location = http::HeaderValue::from_static("/elsewhere");
        response.headers_mut().insert("location", location);
    }
    response
}

/// The body of the response to a GET.
pub(crate) async fn get(client: &Client, url: &str) -> Result<String, EgressError> {
    let request = Request::get(url).body(Full::default()).unwrap();
    let body = client.request(request).await?.into_body();
    let bytes = body.collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// Names with the answers they give, one after the other; the last one stays.
pub(crate) struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: AtomicUsize,
}

impl Names {
    pub(crate) fn new(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = names
            .iter()
            .map(|(name, answers)| {
                let answers = answers.iter().rev().map(parse).collect();
                ((*name).to_owned(), answers)
            })
            .collect();
        Arc::new(Self {
            answers: Mutex::new(answers),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn resolver(self: &Arc<Self>) -> Resolver {
        let this = Arc::clone(self);
        Resolver::Function(Arc::new(move |name| {
            this.asked.fetch_add(1, Ordering::SeqCst);
            let mut answers = this.answers.lock().unwrap();
            let Some(answers) = answers.get_mut(name) else {
                return Vec::new();
            };
            if answers.len() > 1 {
                answers.pop().unwrap()
            } else {
                answers[0].clone()
            }
        }))
    }
}
