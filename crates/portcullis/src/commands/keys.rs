//! `portcullis keys`: the keys that sign the gateway's own access tokens.

use std::process::ExitCode;
use std::sync::Arc;

use portcullis_oauth::server::Rotation;
use portcullis_oauth::server::keys::{self, KeyStage};
use portcullis_store::Store;
use serde_json::json;

use super::No;
use super::list::{Table, time};
use super::store::Place;
use crate::cli::admin::{Keys, KeysAction, Listing};
use crate::environment::Environment;
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &Keys, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    match &args.action {
        KeysAction::Rotate { compromised, base } => {
            let rotation = if *compromised {
                Rotation::Compromised
            } else {
                Rotation::Planned
            };
            let base = place.public_url(base)?;
            let vault = place.vault()?;
            place.run(async |store| {
                let (store, vault) = (store.clone(), Arc::clone(&vault));
                let now_ms = clock::now_ms();
                if !keys::rotate(store, vault, &base, rotation, now_ms).await? {
                    let message = "a new signing key is published already and signs soon; \
                                   see `portcullis keys list`";
                    return Err(No(message.to_owned()).into());
                }
                output::tell(match rotation {
                    Rotation::Planned => "a new signing key is published, and signs soon\n",
                    Rotation::Compromised => {
                        "the signing keys are replaced; every access token until now is refused\n"
                    }
                });
                Ok(())
            })
        }
        KeysAction::List(listing) => place.run(async |store| list(store, *listing).await),
    }
}

async fn list(store: &Store, listing: Listing) -> anyhow::Result<()> {
    let keys = keys::list(store, clock::now_ms()).await?;
    let stage = |stage| match stage {
        KeyStage::Next => "next",
        KeyStage::Signing => "signing",
        KeyStage::Verifying => "verifying",
    };
    if listing.json {
        let keys = keys.iter().map(
            |key| json!({ "kid": key.kid, "stage": stage(key.stage), "active_ms": key.active_ms }),
        );
        let keys: Vec<_> = keys.collect();
        return Ok(output::print_json(&json!({ "keys": keys }))?);
    }
    let mut table = Table::new(["KID", "STAGE", "SIGNS FROM"]);
    for key in keys {
        table.row([key.kid, stage(key.stage).to_owned(), time(key.active_ms)]);
    }
    Ok(table.print("no signing keys; the gateway makes one when it needs it\n")?)
}
