//! `portcullis policy`: tools for the permission model.

mod check;
mod explain;
mod ground;
mod replay;
mod suggest;
mod table;

use std::process::ExitCode;

use crate::cli::policy::{Policy, PolicyAction};
use crate::environment::Environment;
use ground::Ground;

/// Does what `args` say.
pub(crate) fn run(args: &Policy, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = &args.place;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &args.action {
            PolicyAction::Check { listing } => check::run(place, *listing, environment).await,
            PolicyAction::Explain(call) => {
                let ground = Ground::open(place, &[], environment).await?;
                explain::run(&ground, call).await
            }
            PolicyAction::Test { files } => {
                let ground = Ground::open(place, &[], environment).await?;
                table::run(&ground, files).await
            }
            PolicyAction::Replay(args) => {
                let ground = Ground::open(place, &args.policies, environment).await?;
                replay::run(&ground, args).await
            }
            PolicyAction::Suggest(args) => suggest::run(place, args, environment).await,
        }
    })
}
