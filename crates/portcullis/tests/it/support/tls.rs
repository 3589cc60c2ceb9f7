//! A certificate for the loopback, and a client that believes it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::BOUND;

/// A self-signed certificate and its key, in files.
pub(crate) struct Identity {
    roots: RootCertStore,
    /// The lines of `[listen]` that name the files.
    pub(crate) lines: String,
}

impl Identity {
    /// Makes one in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let lines = format!(
            "tls = {{ certificate = \"{}\", key = \"{}\" }}",
            certificate.display(),
            key.display()
        );
        Self { roots, lines }
    }

    /// Connects to `address` by TLS, and offers the application protocol `alpn`.
    pub(crate) async fn connect(&self, address: SocketAddr, alpn: &str) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::builder()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let connected = timeout(BOUND, connector.connect(name, stream)).await;
        let stream = connected.expect("a handshake in time").unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        stream
    }
}
