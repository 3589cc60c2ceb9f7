//! How fast passwords may be tried, such that nobody is locked out by it.
//!
//! Three bounds, each on what an attacker pays for:
//!
//! - one account from one network: a delay that doubles with each failure;
//! - one account from everywhere: when failures are many, each network waits once, shortly, before its next try. Others cannot make
//!   that wait longer, so it is never a lock;
//! - one network at all accounts: a rate.
//!
//! A browser that has logged in before carries a device cookie and has bounds of its own, which nobody else's failures touch.
//! Everything is in memory and of bounded size: a restart forgets it, and so does a flood of made-up names, at the pace of the rate.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;

/// How many failures of one account from one source go without a delay.
const FREE: u32 = 5;

/// The first delay; it doubles with each further failure.
const DELAY_MS: u64 = 1000;

/// The longest delay for one account from one source.
const DELAY_MAX_MS: u64 = 15 * 60 * 1000;

/// How many failures of one account from everywhere begin its slow mode.
const SLOW_FROM: u32 = 30;

/// How long a source waits in slow mode.
const SLOW_MS: u64 = 15 * 1000;

/// How long failures count.
const FORGET_MS: u64 = 60 * 60 * 1000;

/// How many tries one network has at once.
const BURST: u64 = 60;

/// How long it takes until a network has another try.
const REFILL_MS: u64 = 1000;

/// How many entries each of the three maps has.
const ENTRIES_MAX: usize = 20_000;

/// Where somebody tries from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A browser that has logged in to this account before, by its device cookie.
    Device([u8; 16]),
    /// Any other.
    Network(Network),
}

/// The network of a peer: a /24 of IPv4 or a /48 of IPv6. Peers without an address share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    version: u8,
    prefix: u64,
}

/// A try that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long, in milliseconds.
    pub ms: u64,
    /// Whether this is the first refusal of this delay, and so worth a record.
    pub first: bool,
}

/// The tries of late.
#[derive(Debug, Default)]
pub struct Lockout {
    tallies: Mutex<Tallies>,
}

#[derive(Debug, Default)]
struct Tallies {
    pairs: HashMap<(Box<str>, Source), Pair>,
    accounts: HashMap<Box<str>, Failures>,
    networks: HashMap<Network, Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    failures: u32,
    not_before_ms: u64,
    last_ms: u64,
    /// It waited, or waits, for slow mode.
    slowed: bool,
    told: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_ms: u64,
}

/// A bucket that is full when `full_ms` has passed.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_ms: u64,
    told: bool,
}

impl Network {
    /// The network of a peer.
    pub fn of(peer: Option<IpAddr>) -> Self {
        let (version, prefix) = match peer.map(|address| address.to_canonical()) {
            None => (0, 0),
            Some(IpAddr::V4(address)) => (4, u64::from(address.to_bits() >> 8)),
            // 48 bits always fit.
            Some(IpAddr::V6(address)) => (
                6,
                u64::try_from(address.to_bits() >> 80).unwrap_or_default(),
            ),
        };
        Self { version, prefix }
    }
}

impl Lockout {
    /// Asks for a try at `account`, which counts as a failure until [`Lockout::succeeded`], so that tries at the same time count
    /// too. Names that no account has are treated alike.
    pub fn attempt(
        &self,
        account: &str,
        source: Source,
        network: Network,
        now_ms: u64,
    ) -> Result<(), Wait> {
        let tallies = &mut *self.tallies.lock();
        make_room(&mut tallies.pairs, now_ms, |pair| {
            pair.last_ms.max(pair.not_before_ms)
        });
        make_room(&mut tallies.accounts, now_ms, |account| account.last_ms);
        let failures = tallies.accounts.entry(account.into()).or_default();
        if now_ms.saturating_sub(failures.last_ms) > FORGET_MS {
            *failures = Failures::default();
        }
        let pair = tallies.pairs.entry((account.into(), source)).or_default();
        if now_ms.saturating_sub(pair.last_ms.max(pair.not_before_ms)) > FORGET_MS {
            *pair = Pair::default();
        }
        // A clock that was set back makes nobody wait longer than the longest delay.
        pair.not_before_ms = pair.not_before_ms.min(now_ms.saturating_add(DELAY_MAX_MS));
        if now_ms < pair.not_before_ms {
            return Err(pair.wait(now_ms));
        }
        let known = matches!(source, Source::Device(_));
        let slow = !known && failures.count >= SLOW_FROM;
        if slow && !pair.slowed {
            pair.slowed = true;
            pair.not_before_ms = now_ms.saturating_add(SLOW_MS);
            return Err(pair.wait(now_ms));
        }
        if !known {
            take(&mut tallies.networks, network, now_ms)?;
            failures.count = failures.count.saturating_add(1);
            failures.last_ms = now_ms;
        }
        pair.failures = pair.failures.saturating_add(1);
        pair.last_ms = now_ms;
        pair.slowed = slow;
        pair.told = false;
        let delay = delay(pair.failures).max(if slow { SLOW_MS } else { 0 });
        pair.not_before_ms = now_ms.saturating_add(delay);
        Ok(())
    }

    /// Tells that the try was right after all.
    pub fn succeeded(&self, account: &str, source: Source) {
        let mut tallies = self.tallies.lock();
        let removed = tallies.pairs.remove(&(account.into(), source));
        if matches!(source, Source::Network(_))
            && let (Some(pair), Some(failures)) = (removed, tallies.accounts.get_mut(account))
        {
            failures.count = failures.count.saturating_sub(pair.failures);
        }
    }

    /// Asks for something that costs work and is at no account.
    pub fn visit(&self, network: Network, now_ms: u64) -> Result<(), Wait> {
        take(&mut self.tallies.lock().networks, network, now_ms)
    }
}

impl Pair {
    fn wait(&mut self, now_ms: u64) -> Wait {
        let first = !std::mem::replace(&mut self.told, true);
        Wait {
            ms: self.not_before_ms.saturating_sub(now_ms),
            first,
        }
    }
}

fn delay(failures: u32) -> u64 {
    match failures.checked_sub(FREE) {
        None => 0,
        Some(n) => DELAY_MS
            .checked_shl(n.min(32))
            .unwrap_or(DELAY_MAX_MS)
            .min(DELAY_MAX_MS),
    }
}

fn take(
    networks: &mut HashMap<Network, Bucket>,
    network: Network,
    now_ms: u64,
) -> Result<(), Wait> {
    make_room(networks, now_ms, |bucket| bucket.full_ms);
    let bucket = networks.entry(network).or_default();
    let latest = now_ms.saturating_add(BURST * REFILL_MS);
    // A clock that was set back makes nobody wait longer than the bucket is deep.
    bucket.full_ms = bucket.full_ms.clamp(now_ms, latest);
    let full = bucket.full_ms.saturating_add(REFILL_MS);
    if full > latest {
        let first = !std::mem::replace(&mut bucket.told, true);
        return Err(Wait {
            ms: full - latest,
            first,
        });
    }
    *bucket = Bucket {
        full_ms: full,
        told: false,
    };
    Ok(())
}

/// Keeps a map from growing: what no longer counts goes first, then the oldest eighth.
fn make_room<K: Clone + Eq + Hash, V>(
    map: &mut HashMap<K, V>,
    now_ms: u64,
    last_ms: impl Fn(&V) -> u64,
) {
    if map.len() < ENTRIES_MAX {
        return;
    }
    map.retain(|_, value| now_ms.saturating_sub(last_ms(value)) <= FORGET_MS);
    if map.len() < ENTRIES_MAX {
        return;
    }
    let mut times: Vec<u64> = map.values().map(&last_ms).collect();
    let (_, &mut limit, _) = times.select_nth_unstable(ENTRIES_MAX / 8);
    map.retain(|_, value| last_ms(value) > limit);
}

#[cfg(test)]
mod tests;
