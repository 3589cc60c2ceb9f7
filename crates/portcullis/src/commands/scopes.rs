//! `portcullis scopes`: scopes that were granted, and whether they have ever opened anything.

use std::process::ExitCode;

use portcullis_oauth::api_key;
use portcullis_store::{ScopesUsed, Store};
use serde_json::json;

use super::list::{Table, time};
use super::store::Place;
use crate::cli::admin::Scopes;
use crate::environment::Environment;
use crate::{clock, output};

/// One scope of one grant or API key.
struct Held {
    holder: String,
    by: String,
    scope: String,
    granted_ms: u64,
    last_ms: Option<u64>,
}

/// Prints the scopes that `args` ask for.
pub(crate) fn run(args: &Scopes, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    place.run(async |store| print(store, args).await)
}

async fn print(store: &Store, args: &Scopes) -> anyhow::Result<()> {
    let mut held = held(store, clock::now_ms()).await?;
    if !args.all {
        held.retain(|held| held.last_ms.is_none());
    }
    if args.listing.json {
        let scopes = held.iter().map(|held| {
            json!({
                "holder": held.holder,
                "by": held.by,
                "scope": held.scope,
                "granted_ms": held.granted_ms,
                "last_used_ms": held.last_ms,
            })
        });
        let scopes: Vec<_> = scopes.collect();
        return Ok(output::print_json(&json!({ "scopes": scopes }))?);
    }
    let mut table = Table::new(["HOLDER", "BY", "SCOPE", "GRANTED", "LAST USED"]);
    for held in held {
        table.row([
            held.holder,
            held.by,
            held.scope,
            time(held.granted_ms),
            held.last_ms.map(time).unwrap_or_default(),
        ]);
    }
    Ok(table.print("every scope that is granted has been used\n")?)
}

/// The scopes of all grants and API keys in force.
async fn held(store: &Store, now_ms: u64) -> anyhow::Result<Vec<Held>> {
    let used = store.calls().scopes_used().await?;
    let mut held = Vec::new();
    for grant in store.grants().list(None, now_ms).await? {
        if grant.revoked_ms.is_some() || grant.expires_ms <= now_ms {
            continue;
        }
        for scope in grant.scopes.split_whitespace() {
            let client = Some(&*grant.client);
            held.push(Held {
                scope: scope.to_owned(),
                granted_ms: grant.created_ms,
                last_ms: last(&used, &grant.subject, client, scope, grant.created_ms),
                holder: grant.subject.clone(),
                by: grant.client.clone(),
            });
        }
    }
    for key in api_key::list(store, None).await? {
        if key.revoked_ms.is_some() || key.expires_ms <= now_ms {
            continue;
        }
        for scope in key.scopes.iter().flat_map(|it| it.split_whitespace()) {
            held.push(Held {
                scope: scope.to_owned(),
                granted_ms: key.created_ms,
                last_ms: last(&used, &key.subject, None, scope, key.created_ms),
                holder: key.subject.clone(),
                by: format!("API key {}", key.name),
            });
        }
    }
    Ok(held)
}

/// When a scope last opened something for a holder, since it was granted.
fn last(
    used: &[ScopesUsed],
    holder: &str,
    client: Option<&str>,
    scope: &str,
    since_ms: u64,
) -> Option<u64> {
    used.iter()
        .filter(|used| used.principal == holder && used.oauth_client.as_deref() == client)
        .filter(|used| used.last_ms >= since_ms)
        .filter(|used| used.scopes.split(' ').any(|name| name == scope))
        .map(|used| used.last_ms)
        .max()
}
