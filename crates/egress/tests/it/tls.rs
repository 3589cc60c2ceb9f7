//! TLS on both sides.

use std::path::PathBuf;

use portcullis_egress::{
    ClientCertificates, Egress, EgressError, Reach, Settings, TlsFileError, server_tls,
};
use tempfile::TempDir;

use crate::support::{Names, Server, get};

struct Files {
    directory: TempDir,
}

impl Files {
    /// A certificate for `server.test` and 127.0.0.1, signed by itself, and its key.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let names = ["server.test".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let files = Self { directory };
        std::fs::write(files.certificate(), made.cert.pem()).unwrap();
        std::fs::write(files.key(), made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn settings(&self) -> Settings {
        Settings {
            roots_pem: vec![self.certificate()],
            ..Settings::default()
        }
    }
}

fn names() -> portcullis_egress::Resolver {
    Names::new(&[
        ("server.test", &[&["127.0.0.1"]]),
        ("other.test", &[&["127.0.0.1"]]),
    ])
    .resolver()
}

#[tokio::test]
async fn a_trusted_server_is_spoken_to_in_http_2() {
    let files = Files::new();
    let tls = server_tls(
        &files.certificate(),
        &files.key(),
        ClientCertificates::NotAskedFor,
    )
    .unwrap();
    let server = Server::start(Some(tls)).await;
    let port = server.address.port();
    let egress = Egress::with_resolver(&files.settings(), &names()).unwrap();
    let client = egress.client(Reach::Configured);
    for path in ["/a", "/b"] {
        let text = get(client, &format!("https://server.test:{port}{path}")).await;
        assert_eq!(text.unwrap(), format!("HTTP/2.0 {path}"));
    }
    assert_eq!((server.connections(), server.requests()), (1, 2));
    let text = get(client, &format!("https://127.0.0.1:{port}/c")).await;
    assert_eq!(text.unwrap(), "HTTP/2.0 /c");
}

#[tokio::test]
async fn a_server_without_http_2_is_spoken_to_in_http_1() {
    let files = Files::new();
    let mut tls = (*server_tls(
        &files.certificate(),
        &files.key(),
        ClientCertificates::NotAskedFor,
    )
    .unwrap())
    .clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = Server::start(Some(tls.into())).await;
    let egress = Egress::with_resolver(&files.settings(), &names()).unwrap();
    let url = format!("https://server.test:{}/", server.address.port());
    let text = get(egress.client(Reach::Configured), &url).await;
    assert_eq!(text.unwrap(), "HTTP/1.1 /");
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_gets_no_request() {
    let files = Files::new();
    let tls = server_tls(
        &files.certificate(),
        &files.key(),
        ClientCertificates::NotAskedFor,
    )
    .unwrap();
    let server = Server::start(Some(tls)).await;
    let port = server.address.port();
    // Not trusted; trusted, but of another name.
    for (settings, host) in [
        (Settings::default(), "server.test"),
        (files.settings(), "other.test"),
        (Files::new().settings(), "server.test"),
    ] {
        let egress = Egress::with_resolver(&settings, &names()).unwrap();
        let url = format!("https://{host}:{port}/");
        let error = get(egress.client(Reach::Configured), &url)
            .await
            .unwrap_err();
        assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
        assert!(!error.retryable());
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    let (certificate, key) = (files.certificate(), files.key());
    let missing = files.directory.path().join("missing.pem");
    let empty = files.directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();

    let error = server_tls(&missing, &key, ClientCertificates::NotAskedFor).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    assert!(matches!(error, TlsFileError::Read { .. }), "{error:?}");
    let error = server_tls(&certificate, &missing, ClientCertificates::NotAskedFor).unwrap_err();
    assert!(matches!(error, TlsFileError::Read { .. }), "{error:?}");
    let error = server_tls(&empty, &key, ClientCertificates::NotAskedFor).unwrap_err();
    assert!(matches!(error, TlsFileError::NoCertificate(_)), "{error:?}");
    // The key of another certificate.
    let error = server_tls(
        &certificate,
        &Files::new().key(),
        ClientCertificates::NotAskedFor,
    )
    .unwrap_err();
    assert!(
        matches!(error, TlsFileError::Certificate { .. }),
        "{error:?}"
    );

    let settings = Settings {
        roots_pem: vec![empty],
        ..Settings::default()
    };
    assert!(Egress::new(&settings).is_err());
}
