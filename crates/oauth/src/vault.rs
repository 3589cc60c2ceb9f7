//! Seals what is kept at rest: signing keys, tokens of servers, secrets.
//!
//! AES-256-GCM (NIST SP 800-38D) with a random nonce for each value. What a value is for is authenticated with it, so that one
//! cannot be put in another's place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::secret::{self, NoRandomness};

/// The form of a sealed value: a byte before the nonce.
const FORM: u8 = 1;

const KEY_BYTES: usize = 32;

/// The key that seals. It lives in a file of its own, readable by its owner alone.
#[derive(Debug)]
pub struct Vault {
    key: RandomizedNonceKey,
}

/// A vault that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file cannot be used.
    #[error("the key file `{path}` cannot be used; check that its folder exists and is writable")]
    File {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file does not hold a key.
    #[error(
        "the key file `{0}` does not hold 32 bytes; restore it from a copy, or give up what it sealed by removing it"
    )]
    Size(PathBuf),
    /// Others may read the file.
    #[error(
        "the key file `{0}` can be read by others; run `chmod 600` on it and seal its secrets anew"
    )]
    Exposed(PathBuf),
    /// No key could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The key could not be used.
    #[error("the sealing key could not be used")]
    Key,
}

/// A value that was not sealed by this key for this purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value could not be opened; its key was lost or it was tampered with")]
pub struct Unsealable;

impl Vault {
    /// Opens the key at `path`, making it (mode 0600) when absent.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::File {
            path: path.into(),
            source,
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(mut file) => {
                let key = Zeroizing::new(secret::random::<KEY_BYTES>()?);
                file.write_all(&*key).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                return Self::new(&key);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let file = File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(VaultError::Exposed(path.into()));
            }
        }
        let mut key = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        file.take(KEY_BYTES as u64 + 1)
            .read_to_end(&mut key)
            .map_err(failed)?;
        let key: &[u8; KEY_BYTES] = key
            .as_slice()
            .try_into()
            .map_err(|_size| VaultError::Size(path.into()))?;
        Self::new(key)
    }

    /// A vault with this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Result<Self, VaultError> {
        match RandomizedNonceKey::new(&AES_256_GCM, key) {
            Ok(key) => Ok(Self { key }),
            Err(_unspecified) => Err(VaultError::Key),
        }
    }

    /// Seals `plain` for `purpose`, such as `signing-key:KID`; only the same purpose opens it.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_unspecified| NoRandomness)?;
        let mut out = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        out.push(FORM);
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what [`Vault::seal`] made for the same purpose.
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let rest = sealed.strip_prefix(&[FORM]).ok_or(Unsealable)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable)?;
        let mut plain = Zeroizing::new(rest.to_vec());
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(purpose.as_bytes()),
                &mut plain,
            )
            .map_err(|_unspecified| Unsealable)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests;
