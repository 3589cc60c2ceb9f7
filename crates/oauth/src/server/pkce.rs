//! Proof Key for Code Exchange (RFC 7636), by S256 alone.

use crate::secret;

/// The challenge of a request: 43 characters of base64url, the form of every SHA-256 digest (RFC 7636 §4.2).
pub(crate) fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(is_base64url)
}

/// The challenge of a verifier, if it is one (RFC 7636 §4.1, §4.6).
pub(crate) fn challenge_of(verifier: &str) -> Option<String> {
    let unreserved = |byte: u8| is_base64url(byte) || matches!(byte, b'.' | b'~');
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return None;
    }
    Some(secret::base64url(&secret::sha256(verifier.as_bytes())))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests;
