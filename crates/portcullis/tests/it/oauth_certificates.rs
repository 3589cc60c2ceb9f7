//! Certificates of clients (RFC 8705): who has which, and tokens that are of use with one of them only.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::secret::sha256;
use portcullis_testkit::{Recorder, raw};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SignatureScheme};

use crate::oauth_peers::{Web, document};
use crate::oauth_support::{Page, exchange, now_s, resource};
use crate::support::{Gateway, Identity, Setup};

/// A client's certificate and a key, which need not be the one it is about.
#[derive(Clone, Debug)]
struct Client {
    certificate: CertificateDer<'static>,
    key: Arc<CertifiedKey>,
}

impl Client {
    fn new() -> Self {
        Self::with_key_of(None)
    }

    /// The certificate of `victim`, and a key of one's own.
    fn posing_as(victim: &Self) -> Self {
        Self::with_key_of(Some(victim))
    }

    fn with_key_of(victim: Option<&Self>) -> Self {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let der = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let key = any_supported_type(&der).unwrap();
        let own = made.cert.der().clone();
        let certificate = victim.map_or(own, |victim| victim.certificate.clone());
        let key = Arc::new(CertifiedKey::new(vec![certificate.clone()], key));
        Self { certificate, key }
    }

    fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Connects to the gateway, whose certificate is in `directory`; `None` where it does not let the client in.
async fn connect(
    directory: &Path,
    address: SocketAddr,
    client: Option<&Client>,
) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    roots.add(own).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(client) => config.with_client_cert_resolver(Arc::new(Shows(Arc::clone(&client.key)))),
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .ok()
}

fn call(
    gateway: &Gateway,
    token: Option<&str>,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = http::Request::post("/servers/one/mcp")
        .header(header::HOST, gateway.address().to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request
        .body(raw::modern(1, "tools/list", json!({})).to_string().into())
        .unwrap()
}

struct World {
    directory: TempDir,
    gateway: Gateway,
    issuer: Web,
    key: SigningKey,
    recorder: Recorder,
}

impl World {
    /// A gateway that knows `robot` by their certificate, and an issuer elsewhere.
    async fn start(robot: &Client, asks: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let recorder = Recorder::start().await.unwrap();
        let (issuer, key) = (
            Web::start().await,
            SigningKey::generate(KeyKind::Es256).unwrap(),
        );
        let keys = json!({ "keys": [key.public()] });
        issuer.answer(move |_| document(&keys));
        let identity = Identity::new(directory.path());
        let tls = if asks {
            identity
                .lines
                .replace(" }", ", client_certificates = true }")
        } else {
            identity.lines
        };
        let digits: Vec<_> = robot
            .fingerprint()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let settings = format!(
            "[oauth.certificates.robot]\nsha256 = \"{}\"\nscopes = [\"one\"]\n\
             [oauth.issuers.corp]\nissuer = \"{base}\"\njwks_uri = \"{base}/keys\"\n",
            digits.join(":"),
            base = issuer.base(),
        );
        let setup = Setup::new().listen(&format!("address = \"127.0.0.1:0\"\n{tls}"));
        let setup = setup.with(&settings).url("one", &recorder.url(), "modern");
        Self {
            directory,
            gateway: setup.start().await,
            issuer,
            key,
            recorder,
        }
    }

    /// A token of the issuer that is bound to the certificate of `client`.
    fn token(&self, client: Option<&Client>) -> String {
        let now_s = now_s();
        let mut claims = json!({
            "iss": self.issuer.base(), "sub": "grace", "aud": resource(&self.gateway),
            "exp": now_s + 600, "iat": now_s, "client_id": "desk", "scope": "one", "jti": "1",
        });
        if let Some(client) = client {
            let thumbprint = URL_SAFE_NO_PAD.encode(client.fingerprint());
            claims["cnf"] = json!({ "x5t#S256": thumbprint });
        }
        self.key.sign("at+jwt", &claims).unwrap()
    }

    async fn ask(&self, client: Option<&Client>, token: Option<&str>) -> Page {
        let address = self.gateway.address();
        let stream = connect(self.directory.path(), address, client)
            .await
            .unwrap();
        exchange(stream, call(&self.gateway, token)).await
    }
}

#[tokio::test]
async fn oauth_certificate_of_somebody_else() {
    let (robot, stranger) = (Client::new(), Client::new());
    let world = World::start(&robot, true).await;
    let page = world.ask(Some(&robot), None).await;
    assert_eq!(page.status, 200, "{page:?}");
    let served = world.recorder.seen().len();
    assert_eq!(world.ask(None, None).await.status, 401);
    assert_eq!(world.ask(Some(&stranger), None).await.status, 401);
    // A token that is wrong is not made good by a certificate.
    assert_eq!(world.ask(Some(&robot), Some("wrong")).await.status, 401);
    let forged = SigningKey::generate(KeyKind::Es256).unwrap();
    let claims: Value = json!({ "iss": world.issuer.base(), "sub": "grace" });
    let forged = forged.sign("at+jwt", &claims).unwrap();
    assert_eq!(world.ask(Some(&robot), Some(&forged)).await.status, 401);
    assert_eq!(world.recorder.seen().len(), served);
    // Everybody may have the certificate; who has not its key does not come in with it.
    let posing = Client::posing_as(&robot);
    let address = world.gateway.address();
    let stream = connect(world.directory.path(), address, Some(&posing)).await;
    if let Some(mut stream) = stream {
        // In TLS 1.3 the client is done before the gateway has seen its certificate.
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        stream
            .write_all(b"GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .ok();
        // An answer of any kind would mean that the handshake was taken for good.
        let answered = stream.read(&mut [0; 1]).await;
        assert!(!matches!(answered, Ok(1..)), "{answered:?}");
    }
    assert_eq!(world.recorder.seen().len(), served);
    // The name counts in the record.
    let path = world.gateway.path().join("state/portcullis.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let mut statement = database
        .prepare("SELECT DISTINCT principal FROM calls")
        .unwrap();
    let principals = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let principals: Vec<_> = principals.map(Result::unwrap).collect();
    assert!(
        principals.iter().all(|name| name.contains("robot")),
        "{principals:?}"
    );
}

#[tokio::test]
async fn oauth_token_bound_to_another_certificate() {
    let (robot, desk, thief) = (Client::new(), Client::new(), Client::new());
    let world = World::start(&robot, true).await;
    let bound = world.token(Some(&desk));
    assert_eq!(world.ask(Some(&desk), Some(&bound)).await.status, 200);
    for client in [None, Some(&thief), Some(&robot)] {
        assert_eq!(world.ask(client, Some(&bound)).await.status, 401);
    }
    // One that is bound to nothing is anybody's, which is why they are bound.
    let loose = world.token(None);
    assert_eq!(world.ask(Some(&thief), Some(&loose)).await.status, 200);
    // The certificate is of the connection: what a header says of it counts for nothing.
    let mut request = call(&world.gateway, Some(&bound));
    for name in [
        "x-client-cert",
        "x-ssl-cert",
        "x-forwarded-client-cert",
        "client-cert",
    ] {
        let value = base64::engine::general_purpose::STANDARD.encode(&desk.certificate);
        request
            .headers_mut()
            .insert(name, format!(":{value}:").parse().unwrap());
    }
    let address = world.gateway.address();
    let stream = connect(world.directory.path(), address, Some(&thief))
        .await
        .unwrap();
    assert_eq!(exchange(stream, request).await.status, 401);
}

/// Where the listener asks for no certificates, none is known, and a token that is bound to one opens nothing.
#[tokio::test]
async fn oauth_certificate_where_none_is_asked_for() {
    let robot = Client::new();
    let world = World::start(&robot, false).await;
    assert_eq!(world.ask(Some(&robot), None).await.status, 401);
    let bound = world.token(Some(&robot));
    assert_eq!(world.ask(Some(&robot), Some(&bound)).await.status, 401);
    assert_eq!(world.ask(None, Some(&world.token(None))).await.status, 200);
}
