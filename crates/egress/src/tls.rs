//! TLS as both sides of the gateway speak it: version 1.2 or later, HTTP/2 or HTTP/1.1.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::possession::Possession;

/// Why a file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// No file, or not one of PEM blocks.
    #[error("`{}` could not be read; it should be a PEM file that the gateway's user may read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A PEM file without a certificate in it.
    #[error("no certificate in `{}`; it should hold a PEM block `CERTIFICATE`", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate that cannot be trusted as a root, or not be used with the key.
    #[error("the certificate in `{}` cannot be used; check it, and that its key belongs to it", .path.display())]
    Certificate {
        /// The file of the certificate.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// The cryptography has no version of TLS that is still allowed.
    #[error("TLS could not be set up; this is a defect of the gateway")]
    Versions(#[source] rustls::Error),
}

/// Whether clients are asked for certificates. Browsers that have any ask their user which, so that asking has to be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not.
    NotAskedFor,
    /// They may show one, which proves possession of its key and nothing else.
    Taken,
}

/// What the gateway's own listener presents to clients. `certificate_pem` holds the certificate and
/// then those between it and the root.
pub fn server_tls(
    certificate_pem: &Path,
    key_pem: &Path,
    of_clients: ClientCertificates,
) -> Result<Arc<ServerConfig>, TlsFileError> {
    let verifier: Arc<dyn ClientCertVerifier> = match of_clients {
        ClientCertificates::NotAskedFor => Arc::new(NoClientAuth),
        ClientCertificates::Taken => Arc::new(Possession(provider())),
    };
    let chain = certificates(certificate_pem)?;
    let key = PrivateKeyDer::from_pem_file(key_pem).map_err(|source| TlsFileError::Read {
        path: key_pem.to_owned(),
        source,
    })?;
    let unusable = |source| TlsFileError::Certificate {
        path: certificate_pem.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(TlsFileError::Versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = alpn();
    Ok(Arc::new(config))
}

/// What the gateway asks of servers: a certificate under Mozilla's roots or those in `roots_pem`.
pub(crate) fn client_tls(roots_pem: &[PathBuf]) -> Result<Arc<ClientConfig>, TlsFileError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for path in roots_pem {
        for root in certificates(path)? {
            roots
                .add(root)
                .map_err(|source| TlsFileError::Certificate {
                    path: path.clone(),
                    source,
                })?;
        }
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(TlsFileError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn();
    Ok(Arc::new(config))
}

/// Named, not the process's default, which another library might set.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// All certificates in a file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let read = |source| TlsFileError::Read {
        path: path.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(read)?;
    if certificates.is_empty() {
        return Err(TlsFileError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}
