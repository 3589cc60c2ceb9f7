//! Turns a command and its confinement into a plan that a guard can carry out.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::confinement::{Confinement, Network, Tier};
use crate::doors::PROXY_PORT;
use crate::layout::{self, HOME, Layout};
use crate::plan::{Jail, Plan};
use crate::report::Feature;
use crate::runtime_paths::{is_system, settle};
use crate::sandbox::SpawnError;

/// The user ids of confined servers under root: where no account is, nor the ranges of containers.
const UIDS: std::ops::Range<u32> = 2_100_000_000..2_100_065_536;

/// Names by which programs know a proxy. Some read the one case, some the other.
const PROXY_VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// Adds to `plan`, of `command`, what confines it, if the gateway is to do that.
pub(crate) fn confine(
    plan: &mut Plan,
    command: &Command,
    confinement: &Confinement,
) -> Result<(), SpawnError> {
    match confinement.tier {
        Tier::Off | Tier::External => return Ok(()),
        Tier::Full | Tier::Confined => {}
    }
    check(confinement)?;
    let program = settle(Path::new(&plan.program));
    let cwd = match &plan.cwd {
        // What the gateway resolved may be a link, which does not exist inside.
        Some(cwd) => Some(
            Path::new(cwd)
                .canonicalize()
                .map_err(SpawnError::Resources)?,
        ),
        None => None,
    };
    let base = cwd.as_deref().unwrap_or(Path::new(HOME));
    let needs = layout::needs(&program, &plan.args, base, command.path());
    let layout = Layout::new(confinement, needs, cwd.as_deref())?;
    if confinement.tier == Tier::Full {
        settle_environment(&mut plan.env, confinement.network);
    }
    let fallback = match confinement.tier {
        Tier::Full => HOME,
        _ => "/usr",
    };
    plan.cwd = Some(cwd.unwrap_or_else(|| PathBuf::from(fallback)).into());
    if !is_system(&program) {
        plan.program = program.into();
    }
    plan.jail = Some(Jail {
        tier: confinement.tier,
        network: confinement.network,
        local_sockets: confinement.local_sockets,
        limits: confinement.limits,
        uid: confinement.uid.unwrap_or_else(|| uid_of(plan)),
        layout,
    });
    Ok(())
}

/// Refuses what this system, or the tier, cannot do.
fn check(confinement: &Confinement) -> Result<(), SpawnError> {
    let refuse = |part, cause: &str, remedy: &str| {
        Err(SpawnError::Confinement {
            part,
            cause: cause.to_owned(),
            remedy: remedy.to_owned(),
            source: io::ErrorKind::Unsupported.into(),
        })
    };
    if !cfg!(target_os = "linux") {
        return refuse(
            Feature::Namespaces,
            "local servers are confined on Linux only",
            "run the gateway on Linux or in a container, or choose the tier `external` or `off`",
        );
    }
    if confinement.tier == Tier::Confined && confinement.network != Network::None {
        return refuse(
            Feature::Network,
            "the tier `confined` cannot tell one address from another",
            "give the server no network, or use the tier `full`",
        );
    }
    if confinement.tier == Tier::Confined && confinement.local_sockets {
        return refuse(
            Feature::Network,
            "the tier `confined` cannot keep local sockets of the host apart",
            "do without local sockets, or use the tier `full`",
        );
    }
    if confinement
        .uid
        .is_some_and(|uid| uid == 0 || uid >= u32::MAX - 1)
    {
        return refuse(
            Feature::Identity,
            "a confined server cannot be root",
            "choose a user id that no account has, or leave it out",
        );
    }
    Ok(())
}

/// What of the environment has to be as it is inside, whatever the command says.
fn settle_environment(env: &mut Vec<(OsString, OsString)>, network: Network) {
    let mut set = |name: &str, value: &str| {
        env.retain(|(known, _)| known != name);
        env.push((name.into(), value.into()));
    };
    set("HOME", HOME);
    set("TMPDIR", "/tmp");
    if network == Network::Guarded {
        let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
        for name in PROXY_VARIABLES {
            set(name, &proxy);
        }
    }
}

/// A user id that stays the same as long as the command does. Two commands that share one are
/// still apart by all the rest.
fn uid_of(plan: &Plan) -> u32 {
    let words = [
        plan.program.as_os_str(),
        plan.cwd.as_deref().unwrap_or_default(),
    ];
    let args = plan.args.iter().map(OsString::as_os_str);
    // FNV-1a, since the standard library's hashes differ from one build to the next.
    let hash = words
        .into_iter()
        .chain(args)
        .flat_map(|word: &OsStr| word.as_bytes().iter().chain(&[0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let size = u64::from(UIDS.end - UIDS.start);
    UIDS.start + u32::try_from(hash % size).unwrap_or_default()
}

#[cfg(test)]
mod tests;
