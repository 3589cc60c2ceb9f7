//! `portcullis token`: API keys.

use std::process::ExitCode;

use portcullis_oauth::api_key::{self, MintError, NewKey};
use portcullis_oauth::resource::ProtectedResource;
use portcullis_oauth::scope::Scopes;
use portcullis_store::{ApiKeyRow, Store};
use serde_json::json;

use super::list::{Table, time};
use super::store::Place;
use super::{No, WrongRequest};
use crate::cli::admin::{Listing, Token, TokenAction, TokenCreate};
use crate::environment::Environment;
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &Token, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    match &args.action {
        TokenAction::Create(new) => create(&place, new),
        TokenAction::List(listing) => place.run(async |store| list(store, *listing).await),
        TokenAction::Revoke { which } => place.run(async |store| revoke(store, which).await),
    }
}

fn create(place: &Place<'_>, args: &TokenCreate) -> anyhow::Result<ExitCode> {
    let mut scopes = Scopes::new();
    for scope in &args.scopes {
        let inserted = scopes.insert(scope);
        inserted.map_err(|invalid| WrongRequest(invalid.to_string()))?;
    }
    let resources = resources(place, args)?;
    let new = NewKey {
        name: &args.name,
        subject: args.subject.as_ref().unwrap_or(&args.name),
        scopes: (!args.scopes.is_empty()).then_some(scopes),
        resources: resources.as_deref(),
        ttl_ms: args.expires.ms,
    };
    new.check().map_err(wrong)?;
    place.run(async |store| {
        let servers: Vec<String> = args.servers.iter().map(ToString::to_string).collect();
        let scopes = in_words("scope", &args.scopes);
        let servers = in_words("server", &servers);
        let subject = new.subject.to_owned();
        let minted = api_key::mint(store, new, clock::now_ms()).await;
        let minted = minted.map_err(wrong)?;
        output::tell(&format!(
            "API key {id}: acts as `{subject}`, has {scopes}, opens {servers}, ends {}\n\
             it is shown only now; `portcullis token revoke {id}` ends it earlier\n",
            time(minted.expires_ms),
            id = minted.id,
        ));
        Ok(output::print_line(&minted.key)?)
    })
}

fn wrong(error: MintError) -> anyhow::Error {
    match error {
        MintError::Lifetime | MintError::Name => WrongRequest(error.to_string()).into(),
        MintError::NoRandomness(_) | MintError::Record(_) => error.into(),
    }
}

fn in_words(what: &str, names: &[String]) -> String {
    match names {
        [] => format!("every {what}"),
        [name] => format!("the {what} {name}"),
        names => format!("the {what}s {}", names.join(", ")),
    }
}

/// The endpoints of the servers that are named.
fn resources(
    place: &Place<'_>,
    args: &TokenCreate,
) -> anyhow::Result<Option<Vec<ProtectedResource>>> {
    if args.servers.is_empty() {
        return Ok(None);
    }
    if let Some(known) = place.servers()? {
        let is_known = |name: &str| known.iter().any(|known| known == name);
        if let Some(unknown) = args.servers.iter().find(|name| !is_known(name.as_str())) {
            let known = known.join(", ");
            let message = format!("no server `{unknown}` in the configuration; it has {known}");
            return Err(WrongRequest(message).into());
        }
    }
    let base = place.public_url(&args.base)?;
    let of = |server| ProtectedResource::new(&base, &format!("/servers/{server}/mcp"));
    Ok(Some(args.servers.iter().map(of).collect()))
}

async fn list(store: &Store, listing: Listing) -> anyhow::Result<()> {
    let now_ms = clock::now_ms();
    let keys = api_key::list(store, None).await?;
    let words = |text: &Option<String>| -> Option<Vec<String>> {
        let text = text.as_deref()?;
        Some(text.split_whitespace().map(str::to_owned).collect())
    };
    if listing.json {
        let tokens = keys.iter().map(|key| {
            json!({
                "id": key.id,
                "name": key.name,
                "subject": key.subject,
                "scopes": words(&key.scopes),
                "resources": words(&key.resources),
                "state": state(key, now_ms),
                "created_ms": key.created_ms,
                "expires_ms": key.expires_ms,
                "last_used_ms": key.last_used_ms,
                "revoked_ms": key.revoked_ms,
            })
        });
        let tokens: Vec<_> = tokens.collect();
        return Ok(output::print_json(&json!({ "tokens": tokens }))?);
    }
    let mut table = Table::new([
        "ID",
        "NAME",
        "SUBJECT",
        "STATE",
        "ENDS",
        "LAST USED",
        "SCOPES",
        "RESOURCES",
    ]);
    for key in keys {
        let state = state(&key, now_ms);
        table.row([
            key.id,
            key.name,
            key.subject,
            state.to_owned(),
            time(key.expires_ms),
            key.last_used_ms.map(time).unwrap_or_default(),
            key.scopes.unwrap_or_else(|| "every".to_owned()),
            key.resources.unwrap_or_else(|| "every".to_owned()),
        ]);
    }
    Ok(table.print("no API keys; `portcullis token create NAME` makes one\n")?)
}

fn state(key: &ApiKeyRow, now_ms: u64) -> &'static str {
    if key.revoked_ms.is_some() {
        "revoked"
    } else if key.expires_ms <= now_ms {
        "expired"
    } else {
        "live"
    }
}

async fn revoke(store: &Store, which: &str) -> anyhow::Result<()> {
    let keys = api_key::list(store, None).await?;
    let in_force = || keys.iter().filter(|key| key.revoked_ms.is_none());
    let named: Vec<&str> = in_force()
        .filter(|key| key.name == which)
        .map(|key| key.id.as_str())
        .collect();
    let id = match (in_force().find(|key| key.id == which), named.as_slice()) {
        (Some(key), _) => key.id.as_str(),
        (None, [id]) => id,
        (None, []) => {
            let message = format!(
                "there is no API key `{which}` in force; list them with `portcullis token list`"
            );
            return Err(No(message).into());
        }
        (None, several) => {
            let message = format!(
                "several API keys are called `{which}`; revoke each by its id: {}",
                several.join(", ")
            );
            return Err(WrongRequest(message).into());
        }
    };
    if !api_key::revoke(store, id, clock::now_ms()).await? {
        return Err(No(format!("the API key `{id}` was revoked already")).into());
    }
    output::tell(&format!("API key {id} is revoked\n"));
    Ok(())
}
