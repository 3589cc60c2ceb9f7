//! `portcullis secret`: secrets by name, sealed in the store.

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_oauth::secrets::{SECRET_BYTES_MAX, SecretError, SecretName, Secrets};
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Store};
use serde_json::json;
use zeroize::Zeroizing;

use super::list::{Table, time};
use super::store::Place;
use super::{No, WrongRequest};
use crate::cli::admin::{Listing, Secret, SecretAction};
use crate::environment::Environment;
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &Secret, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    match &args.action {
        SecretAction::Set { name } => {
            let value = read()?;
            let vault = place.vault()?;
            place.run(async |store| {
                let now_ms = clock::now_ms();
                record(store, name, "secret_set", now_ms).await?;
                let set = Secrets::new(store.clone(), vault)
                    .set(name, &value, now_ms)
                    .await;
                set.map_err(refused)?;
                output::tell(&format!("secret `{}` is set\n", name.as_str()));
                Ok(())
            })
        }
        SecretAction::List(listing) => place.run(async |store| list(store, *listing).await),
        SecretAction::Remove { name } => place.run(async |store| {
            let there = store.secrets().get(name.as_str().to_owned()).await?;
            if there.is_none() {
                return Err(unknown(name));
            }
            record(store, name, "secret_removed", clock::now_ms()).await?;
            if !store.secrets().remove(name.as_str().to_owned()).await? {
                return Err(unknown(name));
            }
            output::tell(&format!("secret `{}` is removed\n", name.as_str()));
            Ok(())
        }),
    }
}

/// The secret on standard input: not among the arguments, which every process of the machine may read.
fn read() -> anyhow::Result<Zeroizing<String>> {
    let input = io::stdin();
    if input.is_terminal() {
        output::tell("type the secret, which is shown, then Enter and Ctrl-D\n");
    }
    // Reserved at once: a buffer that grows leaves copies behind.
    let bytes_max = SECRET_BYTES_MAX + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    let limit = u64::try_from(bytes_max + 1)?;
    let read = input.lock().take(limit).read_to_end(&mut bytes);
    read.context("standard input cannot be read")?;
    let text = std::str::from_utf8(&bytes).map_err(|_text| refused(SecretError::Invalid))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let message = "standard input has no secret; write it there, \
                       such as `portcullis secret set NAME < FILE`";
        return Err(WrongRequest(message.to_owned()).into());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn refused(error: SecretError) -> anyhow::Error {
    match error {
        SecretError::Invalid => WrongRequest(error.to_string()).into(),
        other => other.into(),
    }
}

fn unknown(name: &SecretName) -> anyhow::Error {
    let name = name.as_str();
    No(format!(
        "there is no secret `{name}`; list them with `portcullis secret list`"
    ))
    .into()
}

async fn record(
    store: &Store,
    name: &SecretName,
    reason: &'static str,
    now_ms: u64,
) -> anyhow::Result<()> {
    let event = AuthEvent {
        reason: Some(reason),
        correlation: Some(format!("secret:{}", name.as_str()).into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Credential, AuthOutcome::Success)
    };
    Ok(store.auth_events().append(event).await?)
}

async fn list(store: &Store, listing: Listing) -> anyhow::Result<()> {
    let rows = store.secrets().list().await?;
    if listing.json {
        let secrets = rows
            .iter()
            .map(|row| json!({ "name": row.name, "updated_ms": row.updated_ms }));
        let secrets: Vec<_> = secrets.collect();
        return Ok(output::print_json(&json!({ "secrets": secrets }))?);
    }
    let mut table = Table::new(["NAME", "SET"]);
    for row in rows {
        table.row([row.name, time(row.updated_ms)]);
    }
    Ok(table.print("no secrets; `portcullis secret set NAME` sets one\n")?)
}
