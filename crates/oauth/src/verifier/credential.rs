//! Finds the credential in a request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::header::AUTHORIZATION;

use super::config::Certificate;
use super::{BuildError, Presented, Reason, Refused};
use crate::challenge::Scheme;
use crate::dpop::Mode;
use crate::identity::{CredentialKind, Identity};
use crate::jwt::TOKEN_BYTES_MAX;
use crate::resource::ProtectedResource;
use crate::scope::Scopes;
use crate::secret;

/// What else the gateway hands out: authorization codes, refresh tokens, client secrets, invitations.
const OWN_PREFIXES: [&str; 4] = ["pcc_", "pcr_", "pcs_", "pci_"];

/// A credential as it was shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown<'a> {
    /// An access token or API key.
    Token {
        /// It.
        token: &'a str,
        /// How.
        scheme: Scheme,
    },
    /// Nothing but a certificate.
    Certificate(&'a [u8; 32]),
}

impl Shown<'_> {
    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Token { scheme, .. } => scheme,
            Self::Certificate(_) => Scheme::Bearer,
        }
    }
}

/// The one credential in a request (RFC 6750 §2.1, RFC 9449 §7.1). A token counts before a certificate, which may be what it is
/// bound to.
pub(super) fn read<'a>(presented: &Presented<'a>, dpop: Mode) -> Result<Shown<'a>, Refused> {
    let refused = |reason| Refused {
        reason,
        scheme: Scheme::Bearer,
    };
    let mut fields = presented.headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return presented
            .certificate
            .map(Shown::Certificate)
            .ok_or(refused(Reason::Missing));
    };
    if fields.next().is_some() {
        return Err(refused(Reason::Header));
    }
    let (scheme, token) = field
        .to_str()
        .ok()
        .and_then(|field| field.split_once(' '))
        .ok_or(refused(Reason::Header))?;
    let scheme = if scheme.eq_ignore_ascii_case("Bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("DPoP") && dpop != Mode::Off {
        Scheme::Dpop
    } else {
        return Err(refused(Reason::Scheme));
    };
    let token = token.trim_start_matches(' ');
    if !is_token(token) {
        let reason = Reason::Header;
        return Err(Refused { reason, scheme });
    }
    Ok(Shown::Token { token, scheme })
}

/// Whether a text is a `b64token` (RFC 6750 §2.1) of a size that is looked at.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    !body.is_empty() && text.len() <= TOKEN_BYTES_MAX && body.bytes().all(is_allowed)
}

/// Whether a text is a secret of ours that is no credential.
pub(super) fn is_own_secret(token: &str) -> bool {
    OWN_PREFIXES.iter().any(|prefix| token.starts_with(prefix))
}

/// The digest of a credential and the resource that it is shown for. A token has no zero byte, and begins with none.
pub(super) fn digest_of(shown: Shown<'_>, resource: &ProtectedResource) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    match shown {
        Shown::Token { token, .. } => context.update(token.as_bytes()),
        Shown::Certificate(certificate) => {
            context.update(&[0]);
            context.update(certificate);
        }
    }
    context.update(&[0]);
    context.update(resource.uri().as_bytes());
    let digest = context.finish();
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// A short name for a credential in the record, where it has none of its own.
pub(super) fn name_of(digest: [u8; 32]) -> String {
    let mut name = secret::base64url(&digest);
    name.truncate(16);
    name
}

/// The clients that are known by their certificate.
pub(super) fn certificates(
    config: &BTreeMap<String, Certificate>,
    own: &Arc<str>,
) -> Result<HashMap<[u8; 32], Arc<Identity>>, BuildError> {
    let mut certificates = HashMap::new();
    for (name, certificate) in config {
        let fingerprint = fingerprint(&certificate.sha256)
            .ok_or_else(|| BuildError::Certificate(name.clone()))?;
        let mut scopes = Scopes::new();
        for scope in &certificate.scopes {
            scopes
                .insert(scope)
                .map_err(|_invalid| BuildError::Scope(name.clone()))?;
        }
        let identity = Identity {
            subject: name.as_str().into(),
            issuer: Arc::clone(own),
            client: Some(name.as_str().into()),
            groups: certificate
                .groups
                .iter()
                .map(|g| g.as_str().into())
                .collect(),
            scopes: Some(scopes),
            kind: CredentialKind::Certificate,
            token_id: name_of(fingerprint).into(),
            expires_ms: None,
        };
        if certificates
            .insert(fingerprint, Arc::new(identity))
            .is_some()
        {
            return Err(BuildError::Certificate(name.clone()));
        }
    }
    Ok(certificates)
}

/// Reads 32 bytes in hexadecimal digits, with colons between them or not.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut digits = text.chars().filter(|char| *char != ':');
    let mut out = [0; 32];
    for byte in &mut out {
        let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests;
