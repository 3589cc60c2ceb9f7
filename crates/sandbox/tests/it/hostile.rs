//! What a hostile server reaches: without a sandbox nearly everything, with one nothing.
//!
//! The attempts are those of the example `hostile`.

use portcullis_sandbox::{Confinement, Network, Tier};

use crate::attempts::{run, unlimited};
use crate::stage::{ABROAD, Stage, UNSURE};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn an_unconfined_server_reaches_what_it_should_not() {
    if !is_root() {
        // Much of it takes root.
        return;
    }
    let stage = Stage::new();
    let reached = stage.reached(&stage.confinement(Tier::Off), ABROAD);
    let (_, names) = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(run(&stage.command("--list"), &Confinement::new(Tier::Off)));
    let missed: Vec<_> = names
        .lines()
        .filter(|name| !reached.contains_key(*name))
        .filter(|name| !UNSURE.contains(name) && !ABROAD.contains(name))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_confined_server_reaches_nothing() {
    let stage = Stage::new();
    let reached = stage.reached(&stage.confinement(Tier::Full), &unlimited(Tier::Full));
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}

#[test]
fn a_server_with_doors_reaches_nothing_else() {
    let stage = Stage::new();
    let mut confinement = stage.confinement(Tier::Full);
    confinement.network = Network::Guarded;
    let reached = stage.reached(&confinement, &unlimited(Tier::Full));
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}

#[test]
fn local_sockets_reach_no_further_than_grants() {
    let stage = Stage::new();
    let confinement = Confinement {
        network: Network::Guarded,
        local_sockets: true,
        ..stage.confinement(Tier::Full)
    };
    let mut except = unlimited(Tier::Full);
    except.extend([
        "socket-local",
        "socket-local-high-bits",
        // Until the kernel has Landlock's version 9.
        "daemon-socket-in-grant",
    ]);
    let reached = stage.reached(&confinement, &except);
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}

#[test]
fn a_confined_server_of_an_ordinary_user_reaches_nothing() {
    if !is_root() {
        // The tests above have been just that.
        return;
    }
    let stage = Stage::new();
    let reached = stage.reached_for_nobody(Tier::Full, &["memory-bomb-of-many"]);
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}

/// Nothing is hidden in the lesser tier, and a server stays who its gateway is.
const OF_THE_LESSER_TIER: &[&str] = &[
    "become-root",
    "hidden-directory",
    "hidden-directory-list",
    "hidden-directory-moved",
    "hidden-file",
    "hidden-file-remove",
    "hidden-file-write",
    "parent-of-hidden-moved",
    // Says yes even if it has reached nobody.
    "signal-everybody",
];

#[test]
fn a_server_of_the_lesser_tier_reaches_what_was_granted() {
    let stage = Stage::new();
    let mut except = unlimited(Tier::Confined);
    except.extend(OF_THE_LESSER_TIER);
    let reached = stage.reached(&stage.confinement(Tier::Confined), &except);
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}

#[test]
fn so_does_one_of_an_ordinary_user() {
    if !is_root() {
        return;
    }
    let stage = Stage::new();
    let mut except = OF_THE_LESSER_TIER.to_vec();
    except.push("memory-bomb-of-many");
    let reached = stage.reached_for_nobody(Tier::Confined, &except);
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
}
