//! The parts of a request's `params._meta` that belong to a transport and an era, not to the request.

use bytes::Bytes;
use portcullis_mcp::{Era, Object, Version, member, meta, quote};

use super::profile::Profile;

/// The `_meta` keys that say, on each modern request, who asks and in which version.
const MODERN: [&str; 4] = [
    meta::PROTOCOL_VERSION,
    meta::CLIENT_CAPABILITIES,
    meta::CLIENT_INFO,
    meta::LOG_LEVEL,
];

const META: &str = "_meta";

/// What the upstream side decides about a request's `_meta`.
pub(super) struct Envelope<'a> {
    pub(super) version: Version,
    pub(super) profile: &'a Profile,
    /// The token that asks for progress; without one, none is asked for.
    pub(super) progress: Option<i64>,
}

impl Envelope<'_> {
    /// The params to send: `params`, a JSON object, with those keys of `_meta` set or removed that
    /// this module owns, and every other byte as it was.
    pub(super) fn apply(&self, params: Option<&Bytes>) -> Option<Bytes> {
        let adds = self.version.era() == Era::Modern || self.progress.is_some();
        let mut whole = match params {
            None if !adds => return None,
            None => Object::new(),
            Some(params) => Object::parse(params).unwrap_or_default(),
        };
        let old = params.and_then(|params| member(params, META));
        if old.is_none() && !adds {
            return params.cloned();
        }
        let mut meta = old.and_then(Object::parse).unwrap_or_default();
        let before = meta.len();
        self.edit(&mut meta);
        if !adds && meta.len() == before {
            return params.cloned();
        }
        if meta.is_empty() {
            whole.remove(META);
        } else {
            whole.set(META, meta.to_vec());
        }
        Some(whole.to_vec().into())
    }

    fn edit(&self, meta: &mut Object<'_>) {
        for key in MODERN {
            meta.remove(key);
        }
        if self.version.era() == Era::Modern {
            meta.set(meta::PROTOCOL_VERSION, quote(self.version.as_str()));
            meta.set(
                meta::CLIENT_CAPABILITIES,
                self.profile.capabilities.to_vec(),
            );
            meta.set(meta::CLIENT_INFO, self.profile.client_info.to_vec());
            if let Some(level) = &self.profile.log_level {
                meta.set(meta::LOG_LEVEL, quote(level));
            }
        }
        match self.progress {
            Some(token) => meta.set(meta::PROGRESS_TOKEN, token.to_string().into_bytes()),
            None => {
                meta.remove(meta::PROGRESS_TOKEN);
            }
        }
    }
}

/// The token of a `notifications/progress`, if it is one of ours, and the params without it.
pub(super) fn take_progress(params: &[u8]) -> Option<(i64, Bytes)> {
    let mut params = Object::parse(params)?;
    let token = portcullis_mcp::integer(&params.remove(meta::PROGRESS_TOKEN)?)?;
    Some((token, params.to_vec().into()))
}

/// The id of the `subscriptions/listen` request that a modern notification belongs to.
pub(super) fn subscription(params: &[u8]) -> Option<i64> {
    portcullis_mcp::integer(member(member(params, META)?, meta::SUBSCRIPTION_ID)?)
}

#[cfg(test)]
mod tests;
