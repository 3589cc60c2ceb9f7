//! Who attacks OAuth from outside: a name server and HTTP servers that say what the test wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use crate::oauth_support::exchange;

/// A name server on the loopback.
pub(crate) struct Names {
    pub(crate) address: SocketAddr,
    known: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
    task: JoinHandle<()>,
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Names {
    /// Starts one that knows no name.
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let known = Arc::default();
        let asked = Arc::default();
        let task = tokio::spawn(answer_names(socket, Arc::clone(&known), Arc::clone(&asked)));
        Self {
            address,
            known,
            asked,
            task,
        }
    }

    /// Has `name` have these addresses, one answer after the other; the last one stays. No answer may be kept.
    pub(crate) fn set(&self, name: &str, answers: &[&[&str]]) {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().map(parse).collect();
        self.known.lock().unwrap().insert(name.to_owned(), answers);
    }

    /// How often `name` was asked for.
    pub(crate) fn asked(&self, name: &str, kind: RecordType) -> usize {
        let asked = self.asked.lock().unwrap();
        let is = |(known, of): &&(String, RecordType)| known == name && *of == kind;
        asked.iter().filter(is).count()
    }

    /// The table of the configuration that names it.
    pub(crate) fn table(&self) -> String {
        format!("[egress]\nname_servers = [\"{}\"]\n", self.address)
    }

    /// The first address that a plain client would dial for `host`, which asks this name server and checks nothing.
    pub(crate) fn plain(&self, host: &url::Host<&str>) -> Option<IpAddr> {
        match host {
            url::Host::Ipv4(address) => Some((*address).into()),
            url::Host::Ipv6(address) => Some((*address).into()),
            url::Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                let known = self.known.lock().unwrap();
                let last = known.get(name).and_then(|answers| answers.last());
                last.and_then(|answer| answer.last()).copied()
            }
        }
    }
}

async fn answer_names(
    socket: UdpSocket,
    known: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
) {
    let mut buffer = [0; 2048];
    while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..size]).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().to_string().to_ascii_lowercase();
        let key = (name.trim_end_matches('.').to_owned(), query.query_type());
        let turn = {
            let mut asked = asked.lock().unwrap();
            asked.push(key.clone());
            asked.iter().filter(|it| **it == key).count() - 1
        };
        let addresses = match known.lock().unwrap().get(&key.0) {
            Some(answers) => answers[turn.min(answers.len() - 1)].clone(),
            None => Vec::new(),
        };
        let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        for address in addresses {
            let data = match (address, key.1) {
                (IpAddr::V4(address), RecordType::A) => RData::A(A(address)),
                (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(address)),
                _ => continue,
            };
            answer.add_answer(Record::from_rdata(query.name().clone(), 0, data));
        }
        let bytes = answer.to_vec().unwrap();
        socket.send_to(&bytes, from).await.unwrap();
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

pub(crate) type Reply = Response<Full<Bytes>>;
type Handler = Arc<Mutex<Box<dyn Fn(&Seen) -> Reply + Send>>>;

/// An HTTP server that answers as the test says.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections, of which requests need not have come.
    knocks: Arc<AtomicUsize>,
    fences: AtomicUsize,
    task: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// Starts one on a free port of the loopback, which answers 404 to everything.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler: Handler = Arc::new(Mutex::new(Box::new(|_| plain(404, ""))));
        let seen = Arc::default();
        let knocks = Arc::default();
        let task = tokio::spawn(serve(
            listener,
            Arc::clone(&handler),
            Arc::clone(&seen),
            Arc::clone(&knocks),
        ));
        Self {
            address,
            handler,
            seen,
            knocks,
            fences: AtomicUsize::new(0),
            task,
        }
    }

    /// Answers this way from now on.
    pub(crate) fn answer(&self, handler: impl Fn(&Seen) -> Reply + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    /// Answers requests for paths that begin with `path` by this status and body, and everything else as before.
    pub(crate) fn replace(&self, path: &'static str, status: u16, body: &str) {
        let body = body.to_owned();
        self.wrap(path, move || {
            let mut reply = document(&Value::Null);
            *reply.status_mut() = http::StatusCode::from_u16(status).unwrap();
            *reply.body_mut() = Full::from(body.clone());
            reply
        });
    }

    /// Redirects requests for paths that begin with `path`.
    pub(crate) fn redirect(&self, path: &'static str, status: u16, to: &str) {
        let to = to.to_owned();
        self.wrap(path, move || redirect(status, &to));
    }

    fn wrap(&self, path: &'static str, reply: impl Fn() -> Reply + Send + 'static) {
        let mut handler = self.handler.lock().unwrap();
        let before = std::mem::replace(&mut *handler, Box::new(|_| plain(404, "")));
        *handler = Box::new(move |seen| {
            if seen.path.starts_with(path) {
                reply()
            } else {
                before(seen)
            }
        });
    }

    /// What has come.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests have come for `path`.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path == path).count()
    }

    /// How many connections others have made until now. One of our own comes after them in the queue, so that none is missed.
    pub(crate) async fn knocks(&self) -> usize {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let request = Request::get("/fence").header(header::HOST, "fence");
        exchange(stream, request.body(Full::default()).unwrap()).await;
        let own = self.fences.fetch_add(1, Ordering::SeqCst) + 1;
        self.knocks.load(Ordering::SeqCst) - own
    }

    /// Its origin.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(
    listener: TcpListener,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    knocks: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        knocks.fetch_add(1, Ordering::SeqCst);
        let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<hyper::body::Incoming>| {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                async move {
                    let (head, body) = request.into_parts();
                    let arrived = Seen {
                        path: head.uri.path().to_owned(),
                        body: body.collect().await?.to_bytes(),
                    };
                    seen.lock().unwrap().push(arrived.clone());
                    let reply = handler.lock().unwrap()(&arrived);
                    Ok::<_, hyper::Error>(reply)
                }
            });
            let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(connection.await);
        });
    }
}

/// A reply of this status and body.
pub(crate) fn plain(status: u16, body: impl Into<Bytes>) -> Reply {
    let response = Response::builder().status(status);
    response.body(Full::new(body.into())).unwrap()
}

/// A JSON document.
pub(crate) fn document(value: &Value) -> Reply {
    let mut reply = plain(200, value.to_string());
    let json = "application/json".parse().unwrap();
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

/// A redirect.
pub(crate) fn redirect(status: u16, to: &str) -> Reply {
    let mut reply = plain(status, "");
    let to = to.parse().unwrap();
    reply.headers_mut().insert(header::LOCATION, to);
    reply
}

/// A refusal with a challenge.
pub(crate) fn challenge(text: &str) -> Reply {
    let mut reply = plain(401, "");
    let text = HeaderValue::from_bytes(text.as_bytes()).unwrap();
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, text);
    reply
}
