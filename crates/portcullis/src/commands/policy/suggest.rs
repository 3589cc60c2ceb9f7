//! `portcullis policy suggest`: the least policies and constraints that admit the calls that were kept in the record.
//!
//! What is suggested is for a person to read. What was called too seldom to be meant, and what leads to secrets or local
//! networks, is left out and said.

mod cedar;
mod constraints;
mod seen;
mod toml;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_policy::PolicyFile;

use super::explain::{code, decision};
use super::ground::{self, Ground};
use super::replay::CALLS_MAX;
use crate::cli::admin::Place;
use crate::cli::policy::Suggest;
use crate::commands::list::{harmless, time};
use crate::commands::{No, WrongRequest};
use crate::environment::Environment;
use crate::{clock, output, permissions};
use constraints::Draft;
use seen::{Call, Seen};

/// The names of the files.
const CEDAR: &str = "suggested.cedar";
const TOML: &str = "suggested.toml";

/// Prints or writes the suggestion, and says what it does not admit.
pub(super) async fn run(
    place: &Place,
    args: &Suggest,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    // What policy files say would stand in the place of what is suggested.
    let (config, store) = ground::open(place, environment)?;
    let now_ms = clock::now_ms();
    let since = args.since.map_or(0, |moment| moment.before(now_ms));
    let server = args.server.as_ref().map(ToString::to_string);
    let rows = store.calls().kept(server, since, CALLS_MAX).await?;
    let settings = permissions::settings(&config, &[], environment)?;
    let definitions = store.definitions().all().await?;
    let seen = Seen::of(&rows, &definitions, &settings, args.rare)?;
    let (Some(first), Some(last)) = (seen.calls.first(), seen.calls.last()) else {
        let message = "no calls were kept; set `mode = \"observe\"` in `[policy.servers.NAME]`, and use the server for a while";
        return Err(No(message.to_owned()).into());
    };

    let mut drafts: BTreeMap<&str, Draft> = BTreeMap::new();
    for (server, rules) in &settings.servers {
        let draft = Draft::of(server.as_str(), &seen, &config.policy, &rules.surroundings);
        if !draft.is_empty() {
            drafts.insert(server.as_str(), draft);
        }
    }
    let heading = format!(
        "Suggested by `portcullis policy suggest` from {} calls, {} to {}. To be read before it is used.",
        seen.meant().count(),
        time(first.at_ms),
        time(last.at_ms)
    );
    let policies = cedar::write(&heading, &seen);
    let constraints = toml::write(&heading, &drafts);
    match &args.out {
        Some(directory) => save(directory, &policies, &constraints)?,
        None => output::print(&format!("{policies}\n{constraints}"))?,
    }

    let file = |name: &str, text: String| PolicyFile {
        name: name.into(),
        text: text.into(),
    };
    let mut candidate = config;
    candidate.take_rules(&[file(TOML, constraints)])?;
    let policies = vec![file(CEDAR, policies)];
    let ground = Ground::of(candidate, policies, store, environment).await?;
    output::tell(&verdict(&ground, &seen.calls).await?);
    Ok(ExitCode::SUCCESS)
}

/// Writes both files, or neither.
fn save(directory: &Path, policies: &str, constraints: &str) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("`{}` cannot be made", directory.display()))?;
    let files = [
        (directory.join(CEDAR), policies),
        (directory.join(TOML), constraints),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        let message = format!(
            "`{}` is there already; move it, or name another directory",
            path.display()
        );
        return Err(WrongRequest(message).into());
    }
    for (path, text) in files {
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    Ok(())
}

/// How many of the calls the suggestion admits, and which it does not.
async fn verdict(ground: &Ground, calls: &[Call]) -> anyhow::Result<String> {
    let mut refused: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut admitted = 0_usize;
    for call in calls {
        let why = if let Some(why) = call.left_out {
            why.to_owned()
        } else {
            let judgement = ground.judge(&call.hypothesis).await?;
            if decision(&judgement) == "allow" {
                admitted += 1;
                continue;
            }
            let code = code(&judgement).unwrap_or("a person is asked");
            format!("it would be refused: {code}")
        };
        *refused.entry((call.name(), why)).or_default() += 1;
    }
    let mut text = format!(
        "{admitted} of {} calls are admitted by what is suggested\n",
        calls.len()
    );
    for ((name, why), count) in refused {
        // Text in memory takes everything.
        writeln!(text, "  {count} of {}: {why}", harmless(&name)).ok();
    }
    Ok(text)
}
