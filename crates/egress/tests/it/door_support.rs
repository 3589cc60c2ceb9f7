//! A door with its sockets on the loopback, and what a confined server would do at them.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_egress::{
    Allowance, Caps, Connection, Door, Listeners, Reason, Resolver, Rule, Verdict,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// A door that serves until it is dropped.
pub(crate) struct Guarded {
    pub(crate) door: Door,
    pub(crate) proxy: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) names_udp: SocketAddr,
    pub(crate) names_tcp: SocketAddr,
    records: mpsc::UnboundedReceiver<Connection>,
    close: Option<oneshot::Sender<()>>,
}

fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn any(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::from((ip, 0))
}

pub(crate) fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The rules, which may also lead to private addresses.
pub(crate) fn private(texts: &[&str]) -> Vec<Rule> {
    rules(texts).into_iter().map(Rule::private).collect()
}

impl Guarded {
    pub(crate) fn start(rules: Vec<Rule>, resolver: Resolver) -> Self {
        Self::with_caps(rules, Caps::default(), resolver)
    }

    pub(crate) fn with_caps(rules: Vec<Rule>, caps: Caps, resolver: Resolver) -> Self {
        let any_port = any([127, 0, 0, 1]);
        Self::capturing(rules, caps, resolver, any_port, any_port)
    }

    /// With the sockets for captured connections at these addresses.
    pub(crate) fn capturing(
        rules: Vec<Rule>,
        caps: Caps,
        resolver: Resolver,
        http: SocketAddr,
        https: SocketAddr,
    ) -> Self {
        let local = any([127, 0, 0, 1]);
        let listeners = Listeners {
            proxy: listen(local),
            http: listen(http),
            https: listen(https),
            names_udp: UdpSocket::bind(local).unwrap(),
            names_tcp: listen(local),
        };
        let (sender, records) = mpsc::unbounded_channel();
        let door = Door::new(
            "files",
            Allowance::new(rules, caps),
            resolver,
            || NOW_MS,
            Arc::new(move |connection| {
                sender.send(connection).ok();
            }),
        );
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let (proxy, names_tcp) = (address(&listeners.proxy), address(&listeners.names_tcp));
        let (http, https) = (address(&listeners.http), address(&listeners.https));
        let names_udp = listeners.names_udp.local_addr().unwrap();
        let close = {
            let door = door.clone();
            let (close, closed) = oneshot::channel();
            // Also when the sender is dropped.
            let closed = async move { closed.await.unwrap_or_default() };
            tokio::spawn(async move { door.serve(listeners, closed).await.unwrap() });
            Some(close)
        };
        Self {
            door,
            proxy,
            http,
            https,
            names_udp,
            names_tcp,
            records,
            close,
        }
    }

    /// Closes the door.
    pub(crate) fn close(&mut self) {
        self.close = None;
    }

    /// The record of the next connection that is over.
    pub(crate) async fn record(&mut self) -> Connection {
        let record = tokio::time::timeout(PATIENCE, self.records.recv()).await;
        record.unwrap().unwrap()
    }

    /// The next record says that it was not made, and why.
    pub(crate) async fn denied(&mut self) -> Reason {
        let record = self.record().await;
        assert_eq!(record.verdict, Verdict::Denied, "{record:?}");
        assert_eq!(record.bytes_out, 0, "{record:?}");
        record.reason.unwrap()
    }

    /// Opens a tunnel; the text of the answer unless it is granted.
    pub(crate) async fn connect(&self, authority: &str) -> Result<TcpStream, String> {
        connect_at(self.proxy, authority).await
    }

    /// The head and the body of the answer to these bytes at the proxy.
    pub(crate) async fn ask(&self, request: &str) -> String {
        ask_at(self.proxy, request.as_bytes()).await
    }
}

pub(crate) async fn connect_at(proxy: SocketAddr, authority: &str) -> Result<TcpStream, String> {
    let mut tcp = TcpStream::connect(proxy).await.unwrap();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tokio::time::timeout(PATIENCE, tcp.read_u8()).await.unwrap() {
            Ok(byte) => head.push(byte),
            Err(_gone) => break,
        }
    }
    if head.starts_with(b"HTTP/1.1 200") {
        return Ok(tcp);
    }
    head.extend(read_all(&mut tcp).await);
    Err(String::from_utf8(head).unwrap())
}

pub(crate) async fn ask_at(address: SocketAddr, request: &[u8]) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // Who refuses may close before all is said.
    tcp.write_all(request).await.ok();
    String::from_utf8_lossy(&read_all(&mut tcp).await).into_owned()
}

/// All that comes until the other side closes.
pub(crate) async fn read_all(io: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = io.read_to_end(&mut all);
    // A reset is an end too.
    tokio::time::timeout(PATIENCE, reading).await.unwrap().ok();
    all
}

/// A certificate for these names, and who trusts it.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        Arc::new(config)
    }

    fn client(&self, sni: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_sni = sni;
        TlsConnector::from(Arc::new(config))
    }

    /// TLS with the server, which is asked for by `name`.
    pub(crate) async fn hello(
        &self,
        tcp: TcpStream,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let handshake = self.client(true).connect(name, tcp);
        tokio::time::timeout(PATIENCE, handshake).await.unwrap()
    }

    /// The same, without saying whom.
    pub(crate) async fn nameless_hello(&self, tcp: TcpStream, name: &str) -> std::io::Result<()> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let handshake = self.client(false).connect(name, tcp);
        let tls = tokio::time::timeout(PATIENCE, handshake).await.unwrap();
        tls.map(drop)
    }

    /// The answer to a `GET` of `/path` within TLS.
    pub(crate) async fn get(&self, tcp: TcpStream, name: &str) -> std::io::Result<String> {
        let mut tls = self.hello(tcp, name).await?;
        let request = format!("GET /path HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).await?;
        Ok(String::from_utf8(read_all(&mut tls).await).unwrap())
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Sends back what it gets, and counts.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) bytes: Arc<AtomicUsize>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            bytes: Arc::default(),
        };
        let (connections, bytes) = (Arc::clone(&echo.connections), Arc::clone(&echo.bytes));
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let bytes = Arc::clone(&bytes);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = tcp.read(&mut buffer).await {
                        bytes.fetch_add(count, Ordering::SeqCst);
                        if tcp.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        echo
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Whether `text` goes there and comes back.
pub(crate) async fn echoes(tcp: &mut TcpStream, text: &str) -> bool {
    let mut back = vec![0; text.len()];
    let both = async {
        tcp.write_all(text.as_bytes()).await?;
        tcp.read_exact(&mut back).await
    };
    let arrived = tokio::time::timeout(PATIENCE, both).await.unwrap().is_ok();
    arrived && back == text.as_bytes()
}
