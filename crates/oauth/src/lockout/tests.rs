use super::*;

const NOW: u64 = 1_790_000_000_000;

fn network(n: u32) -> Network {
    Network::of(Some(IpAddr::V4((n << 8).into())))
}

fn attempt(lockout: &Lockout, account: &str, from: u32, now_ms: u64) -> Result<(), Wait> {
    let network = network(from);
    lockout.attempt(account, Source::Network(network), network, now_ms)
}

#[test]
fn a_network_is_a_24_or_a_48() {
    let of = |text: &str| Network::of(Some(text.parse().unwrap()));
    assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
    assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.9"));
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::9"));
    assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
}

#[test]
fn the_delay_doubles_with_each_failure() {
    let lockout = Lockout::default();
    let mut now = NOW;
    for _ in 0..FREE {
        attempt(&lockout, "ada", 1, now).unwrap();
    }
    for expected in [1000, 2000, 4000, 8000] {
        let wait = attempt(&lockout, "ada", 1, now).unwrap_err();
        assert_eq!((wait.ms, wait.first), (expected, true));
        let again = attempt(&lockout, "ada", 1, now).unwrap_err();
        assert_eq!((again.ms, again.first), (expected, false));
        now += expected;
        attempt(&lockout, "ada", 1, now).unwrap();
    }
    assert_eq!(delay(1000), DELAY_MAX_MS);
}

#[test]
fn failures_from_elsewhere_do_not_delay_a_network() {
    let lockout = Lockout::default();
    for _ in 0..FREE {
        attempt(&lockout, "ada", 1, NOW).unwrap();
    }
    attempt(&lockout, "ada", 1, NOW).unwrap_err();
    attempt(&lockout, "ada", 2, NOW).unwrap();
    attempt(&lockout, "bob", 1, NOW).unwrap();
}

#[test]
fn many_failures_from_everywhere_cost_a_new_network_one_short_wait() {
    let lockout = Lockout::default();
    for n in 0..SLOW_FROM {
        attempt(&lockout, "ada", n, NOW).unwrap();
    }
    let wait = attempt(&lockout, "ada", 1000, NOW).unwrap_err();
    assert_eq!(wait.ms, SLOW_MS);
    // The attack goes on from everywhere; the owner waits no longer for it.
    for n in 2000..3000 {
        attempt(&lockout, "ada", n, NOW + 1).unwrap_err();
        attempt(&lockout, "ada", n, NOW + 1 + SLOW_MS).unwrap();
    }
    attempt(&lockout, "ada", 1000, NOW + SLOW_MS).unwrap();
    attempt(&lockout, "bob", 1001, NOW).unwrap();
}

#[test]
fn a_known_device_is_delayed_by_its_own_failures_alone() {
    let lockout = Lockout::default();
    let (device, here) = (Source::Device([7; 16]), network(1));
    for n in 0..200 {
        let now = NOW + u64::from(n);
        let outcome = attempt(&lockout, "ada", n % 3, now);
        assert!(outcome.is_ok() || n >= FREE);
    }
    while lockout.visit(here, NOW).is_ok() {}
    for _ in 0..FREE {
        lockout.attempt("ada", device, here, NOW).unwrap();
    }
    let wait = lockout.attempt("ada", device, here, NOW).unwrap_err();
    assert_eq!(wait.ms, DELAY_MS);
}

#[test]
fn a_success_takes_its_failures_back() {
    let lockout = Lockout::default();
    for _ in 0..4 {
        for _ in 0..FREE {
            attempt(&lockout, "ada", 1, NOW).unwrap();
        }
        lockout.succeeded("ada", Source::Network(network(1)));
    }
}

#[test]
fn a_network_has_a_rate_over_all_accounts() {
    let lockout = Lockout::default();
    for n in 0..BURST {
        attempt(&lockout, &format!("account{n}"), 1, NOW).unwrap();
    }
    let wait = attempt(&lockout, "another", 1, NOW).unwrap_err();
    assert_eq!(wait.ms, REFILL_MS);
    attempt(&lockout, "another", 2, NOW).unwrap();
    attempt(&lockout, "another", 1, NOW + REFILL_MS).unwrap();
}

#[test]
fn failures_are_forgotten() {
    let lockout = Lockout::default();
    for _ in 0..FREE {
        attempt(&lockout, "ada", 1, NOW).unwrap();
    }
    let later = NOW + FORGET_MS + DELAY_MS + 1;
    for _ in 0..FREE {
        attempt(&lockout, "ada", 1, later).unwrap();
    }
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_out() {
    let lockout = Lockout::default();
    let later = NOW + 100 * FORGET_MS;
    for _ in 0..=FREE {
        attempt(&lockout, "ada", 1, later).ok();
    }
    let wait = attempt(&lockout, "ada", 1, NOW).unwrap_err();
    assert!(wait.ms <= DELAY_MAX_MS);
    let wait = attempt(&lockout, "bob", 1, NOW).unwrap_err();
    assert_eq!(wait.ms, REFILL_MS);
    attempt(&lockout, "bob", 1, NOW + REFILL_MS).unwrap();
}

#[test]
fn memory_is_bounded() {
    let lockout = Lockout::default();
    for n in 0..u32::try_from(ENTRIES_MAX).unwrap() + 5000 {
        attempt(&lockout, &n.to_string(), n, NOW + u64::from(n)).unwrap();
    }
    let tallies = lockout.tallies.lock();
    assert!(tallies.pairs.len() <= ENTRIES_MAX);
    assert!(tallies.accounts.len() <= ENTRIES_MAX);
    assert!(tallies.networks.len() <= ENTRIES_MAX);
}
