//! Bounds on how often a peer may do what costs something.

use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;
use parking_lot::Mutex;

/// How many peers are counted apart.
const KEYS_MAX: u64 = 16_384;

/// Counts within windows of time: for each key, and for all together.
#[derive(Debug)]
pub(crate) struct Limiter {
    each_max: u32,
    all_max: u32,
    window_ms: u64,
    each: Cache<Box<str>, Arc<Mutex<Window>>>,
    all: Mutex<Window>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since_ms: u64,
    count: u32,
}

impl Window {
    fn used(&mut self, now_ms: u64, window_ms: u64) -> u32 {
        if now_ms.saturating_sub(self.since_ms) >= window_ms {
            *self = Self {
                since_ms: now_ms,
                count: 0,
            };
        }
        self.count
    }
}

impl Limiter {
    /// At most `each_max` for a key and `all_max` in all, within any window of `window_ms`.
    pub(crate) fn new(each_max: u32, all_max: u32, window_ms: u64) -> Self {
        Self {
            each_max,
            all_max,
            window_ms,
            each: Cache::new(KEYS_MAX),
            all: Mutex::default(),
        }
    }

    /// Counts one more, unless there have been too many.
    pub(crate) fn admit(&self, key: &str, now_ms: u64) -> bool {
        if self.is_exhausted(key, now_ms) {
            return false;
        }
        self.count(key, now_ms);
        true
    }

    /// Whether there have been too many.
    pub(crate) fn is_exhausted(&self, key: &str, now_ms: u64) -> bool {
        let each = self
            .each
            .get(key)
            .map_or(0, |window| window.lock().used(now_ms, self.window_ms));
        each >= self.each_max || self.all.lock().used(now_ms, self.window_ms) >= self.all_max
    }

    /// Counts one more.
    pub(crate) fn count(&self, key: &str, now_ms: u64) {
        let window = self.each.get_with(key.into(), Arc::default);
        for window in [&*window, &self.all] {
            let mut window = window.lock();
            let used = window.used(now_ms, self.window_ms);
            window.count = used.saturating_add(1);
        }
    }
}

/// What a peer is counted by: its address, or the network that an IPv6 host has to itself.
pub(crate) fn peer_key(peer: Option<IpAddr>) -> String {
    match peer.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = std::net::Ipv6Addr::from(u128::from(address) >> 64 << 64);
            format!("{network}/64")
        }
    }
}
