//! `portcullis user`: accounts.

use std::process::ExitCode;

use portcullis_oauth::account::{self, AccountError, Invitation};
use portcullis_store::Store;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::list::{Table, time};
use super::store::Place;
use super::{No, WrongRequest};
use crate::cli::admin::{Listing, User, UserAction};
use crate::environment::Environment;
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &User, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    let now_ms = clock::now_ms();
    match &args.action {
        UserAction::Invite(new) => {
            let page = page(&place.public_url(&new.base)?, "invitation")?;
            let display = new.display.clone();
            let invitation = Invitation {
                name: new.name.clone(),
                display: display.unwrap_or_else(|| new.name.to_string()),
                groups: new
                    .groups
                    .iter()
                    .map(|group| group.as_str().into())
                    .collect(),
                is_admin: new.admin,
            };
            place.run(async |store| {
                let invited = account::invite(store, &invitation, now_ms).await;
                print(&page, &invited.map_err(refused)?)
            })
        }
        UserAction::List(listing) => place.run(async |store| list(store, *listing).await),
        UserAction::Reset { name, base } => {
            let page = page(&place.public_url(base)?, "reset")?;
            place.run(async |store| {
                let reset = account::reset(store, name, now_ms).await;
                print(&page, &reset.map_err(refused)?)
            })
        }
        UserAction::Disable { name } => place.run(async |store| {
            let disabled = account::disable(store, name, now_ms).await;
            disabled.map_err(refused)?;
            output::tell(&format!(
                "account `{name}` is disabled; its sessions, tokens and API keys have ended\n"
            ));
            Ok(())
        }),
        UserAction::Enable { name } => place.run(async |store| {
            let enabled = account::enable(store, name, now_ms).await;
            enabled.map_err(refused)?;
            output::tell(&format!("account `{name}` may log in again\n"));
            Ok(())
        }),
        UserAction::Remove { name } => place.run(async |store| {
            let removed = account::remove(store, name, now_ms).await;
            removed.map_err(refused)?;
            output::tell(&format!(
                "account `{name}` is removed; its sessions, tokens and API keys have ended\n"
            ));
            Ok(())
        }),
        UserAction::Link {
            name,
            provider,
            subject,
        } => place.run(async |store| {
            let linked = account::link_identity(store, name, provider, subject, now_ms).await;
            linked.map_err(refused)?;
            output::tell(&format!(
                "`{subject}` at `{provider}` logs in to account `{name}`\n"
            ));
            Ok(())
        }),
    }
}

/// A page of the gateway's own. The code is never in its address, which browsers and proxies keep.
fn page(base: &Url, which: &str) -> anyhow::Result<Url> {
    Ok(base.join(&format!("/oauth/account/{which}"))?)
}

fn print(page: &Url, code: &Zeroizing<String>) -> anyhow::Result<()> {
    let hours = account::LINK_MS / 3_600_000;
    output::tell(&format!(
        "open the page and type the code, within {hours} hours; the code works once and is shown only now\n"
    ));
    Ok(output::print(&Zeroizing::new(format!(
        "{page}\n{}\n",
        code.as_str()
    )))?)
}

fn refused(error: AccountError) -> anyhow::Error {
    match error {
        AccountError::Unknown(_) | AccountError::Taken(_) | AccountError::Linked(_) => {
            No(error.to_string()).into()
        }
        AccountError::Text(_) => WrongRequest(error.to_string()).into(),
        AccountError::NoRandomness(_) | AccountError::Record(_) | AccountError::Read(_) => {
            error.into()
        }
    }
}

async fn list(store: &Store, listing: Listing) -> anyhow::Result<()> {
    let accounts = account::list(store).await?;
    if listing.json {
        let users = accounts.iter().map(|account| {
            json!({
                "name": account.name,
                "display": account.display,
                "groups": account.groups,
                "admin": account.is_admin,
                "disabled": account.disabled,
                "password": account.password.is_some(),
                "second_factor": account.totp.is_some(),
                "created_ms": account.created_ms,
            })
        });
        let users: Vec<_> = users.collect();
        return Ok(output::print_json(&json!({ "users": users }))?);
    }
    let mut table = Table::new([
        "NAME",
        "DISPLAY",
        "GROUPS",
        "ADMIN",
        "STATE",
        "SECOND FACTOR",
        "MADE",
    ]);
    let yes_or_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
    for account in accounts {
        let state = match (account.disabled, account.password.is_some()) {
            (true, _) => "disabled",
            (false, true) => "active",
            (false, false) => "no password",
        };
        table.row([
            account.name,
            account.display,
            account.groups.join(", "),
            yes_or_no(account.is_admin),
            state.to_owned(),
            yes_or_no(account.totp.is_some()),
            time(account.created_ms),
        ]);
    }
    Ok(table.print("no accounts; `portcullis user invite NAME` makes one\n")?)
}
