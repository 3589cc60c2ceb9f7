//! Devices: browsers that have logged in to an account before. Others' failures do not delay them.

use http::HeaderMap;
use portcullis_store::Account;
use serde::{Deserialize, Serialize};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refusal::Refusal;
use super::{Login, cookie};
use crate::secret;

/// How long a browser is known without a login.
pub(super) const LASTS_MS: u64 = 180 * 24 * 60 * 60 * 1000;

/// What the cookie is sealed for.
const PURPOSE: &str = "login-device";

/// What the cookie says. It opens nothing: it only tells which failures count.
#[derive(Serialize, Deserialize)]
struct Device {
    id: [u8; 16],
    account: String,
    /// A reset forgets devices, which may have been somebody else's.
    version: u64,
    issued_ms: u64,
}

impl Login {
    /// The device that a request comes from, if it is known at this account.
    pub(super) fn device(
        &self,
        headers: &HeaderMap,
        account: &Account,
        now_ms: u64,
    ) -> Option<[u8; 16]> {
        let value = self.cookies.read(headers, cookie::DEVICE)?;
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let json = self.vault.unseal(PURPOSE, &sealed).ok()?;
        let device: Device = serde_json::from_slice(&json).ok()?;
        let known = device.account == account.name
            && device.version == account.version
            && now_ms.saturating_sub(device.issued_ms) <= LASTS_MS;
        known.then_some(device.id)
    }

    /// The cookie by which a browser is known at this account from now on.
    pub(super) fn device_cookie(
        &self,
        headers: &HeaderMap,
        account: &Account,
        now_ms: u64,
    ) -> Result<String, Refusal> {
        let id = match self.device(headers, account, now_ms) {
            Some(id) => id,
            None => secret::random()?,
        };
        let device = Device {
            id,
            account: account.name.clone(),
            version: account.version,
            issued_ms: now_ms,
        };
        let json = serde_json::to_vec(&device).unwrap_or_default();
        Ok(secret::base64url(&self.vault.seal(PURPOSE, &json)?))
    }
}
