//! Second factors: time-based one-time passwords (RFC 6238), and recovery codes for when the device is lost.

use std::fmt;

use totp_rs::{Algorithm, Secret, TOTP};
use zeroize::Zeroizing;

use crate::secret::{self, NoRandomness};

/// How long a code stands, in seconds.
const STEP_S: u64 = 30;

/// How many steps a device's clock may differ.
const SKEW: u64 = 1;

/// How many recovery codes an account has.
const RECOVERY_CODES: usize = 10;

/// The length of a secret in bytes (RFC 4226 §4, R6).
pub(crate) const SECRET_BYTES: usize = 20;

/// The second factor of an account.
pub struct Totp(TOTP);

/// A secret that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of a second factor cannot be used; reset the account")]
pub struct InvalidSecret;

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp").finish_non_exhaustive()
    }
}

/// A fresh secret.
pub fn new_secret() -> Result<Zeroizing<[u8; SECRET_BYTES]>, NoRandomness> {
    Ok(Zeroizing::new(secret::random()?))
}

impl Totp {
    /// The factor of `account` with this secret; `issuer` is what a device shows beside it.
    pub fn new(secret: &[u8], issuer: &str, account: &str) -> Result<Self, InvalidSecret> {
        TOTP::new(
            Algorithm::SHA1,
            6,
            0,
            STEP_S,
            secret.to_vec(),
            Some(issuer.replace(':', " ")),
            account.to_owned(),
        )
        .map(Self)
        .map_err(|_unusable| InvalidSecret)
    }

    /// The secret in base32, for typing.
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.get_secret_base32())
    }

    /// The secret as an `otpauth` address, which devices read.
    pub fn address(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.get_url())
    }

    /// The step after `last` that `code` belongs to, if it is one of now. The step is to be used up, so that a code that was
    /// overseen does not count again (RFC 6238 §5.2).
    pub fn step_of(&self, code: &str, last: u64, now_ms: u64) -> Option<u64> {
        let now = now_ms / 1000 / STEP_S;
        let mut found = None;
        for step in now.saturating_sub(SKEW)..=now.saturating_add(SKEW) {
            let right = Zeroizing::new(self.0.generate(step.saturating_mul(STEP_S)));
            if secret::equal(right.as_bytes(), code.as_bytes()) && step > last {
                found = Some(step);
            }
        }
        found
    }
}

/// Fresh recovery codes of 80 bits, as they are shown, once.
pub fn recovery_codes() -> Result<Vec<Zeroizing<String>>, NoRandomness> {
    (0..RECOVERY_CODES).map(|_| recovery_code()).collect()
}

/// What is kept of a recovery code, however it was typed.
pub fn recovery_digest(code: &str) -> [u8; 32] {
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|char| char.to_ascii_lowercase())
            .collect(),
    );
    secret::sha256(plain.as_bytes())
}

fn recovery_code() -> Result<Zeroizing<String>, NoRandomness> {
    let bytes = Zeroizing::new(secret::random::<10>()?);
    let encoded = Secret::Raw(bytes.to_vec()).to_encoded();
    let mut code = Zeroizing::new(String::with_capacity(19));
    if let Secret::Encoded(text) = &encoded {
        for (n, char) in text.chars().enumerate() {
            if n > 0 && n % 4 == 0 {
                code.push('-');
            }
            code.push(char.to_ascii_lowercase());
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests;
