//! `portcullis policy check`: everything that is wrong with the policies, and what is odd about them.

use std::process::ExitCode;
use std::sync::Arc;

use portcullis_pipeline::permissions::{InvalidPermissions, Permissions};
use serde_json::json;

use super::ground;
use crate::cli::admin::{Listing, Place};
use crate::commands::WRONG;
use crate::config::mistakes::{Mistakes, Weight};
use crate::environment::Environment;
use crate::output::{self, Style};
use crate::permissions;

/// Draws the mistakes on standard error and prints the verdict on standard output.
pub(super) async fn run(
    place: &Place,
    listing: Listing,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let (config, files, store) = ground::read(place, &[], environment)?;
    let learnt = permissions::learnt(&store).await?;
    let settings = permissions::settings(&config, &files, environment)?;
    let (found, verdict, is_usable) = match Permissions::build(settings, Arc::new(learnt)) {
        Ok(built) => {
            let odd = built.findings();
            let known = built.known();
            let verdict = format!(
                "ok: {}, {} of {}, {}",
                count(known.policies, "policy", "policies"),
                count(known.tools, "tool", "tools"),
                count(known.servers, "server", "servers"),
                count(odd.len(), "warning", "warnings"),
            );
            (
                permissions::drawn(&files, &odd, Weight::Warning),
                verdict,
                true,
            )
        }
        Err(InvalidPermissions::Policies(mistakes)) => {
            let verdict = format!("not ok: {}", count(mistakes.len(), "mistake", "mistakes"));
            (
                permissions::drawn(&files, &mistakes, Weight::Error),
                verdict,
                false,
            )
        }
        Err(invalid @ InvalidPermissions::Rule { .. }) => return Err(invalid.into()),
    };
    if listing.json {
        let mistakes: Vec<_> = found.iter().flat_map(Mistakes::entries).collect();
        output::print_json(&json!({ "ok": is_usable, "mistakes": mistakes }))?;
    } else {
        let style = Style::of_stderr(environment);
        for mistakes in &found {
            output::tell(&mistakes.draw(style.width, style.colour));
        }
        output::print_line(&verdict)?;
    }
    Ok(if is_usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    })
}

fn count(number: usize, one: &str, several: &str) -> String {
    let what = if number == 1 { one } else { several };
    format!("{number} {what}")
}
