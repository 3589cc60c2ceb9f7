//! `portcullis connect`: connects a principal to a server without a browser on the gateway's own pages.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use portcullis_oauth::client::{self, Credentials};
use portcullis_oauth::vault::Vault;
use portcullis_store::{Durability, Store};
use url::Url;

use super::WrongRequest;
use crate::config::load::load;
use crate::environment::Environment;
use crate::state::{self, default_directory};
use crate::{access, cli, clock, output, wiring};

/// Largest line that is read for an address.
const ADDRESS_BYTES_MAX: u64 = 16 * 1024;

/// Begins a connection, and completes it by the address that a browser was redirected to.
pub(crate) fn run(args: &cli::Connect, environment: &Environment) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let config = load(&path, environment, None, |_, _| Vec::new())?.config;
    let settings = wiring::settings(&config)?
        .filter(|settings| settings.servers.contains_key(&*args.server))
        .ok_or_else(|| {
            WrongRequest(format!(
                "no server `{}` with `auth` is configured in `{}`",
                args.server,
                path.display()
            ))
        })?;
    let directory = match args.state_dir.as_ref().or(config.state.directory.as_ref()) {
        Some(directory) => directory.clone(),
        None => default_directory(environment)?,
    };
    state::make(&directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let settings_of_store = portcullis_store::Settings {
            durability: Durability::Power,
            ..portcullis_store::Settings::default()
        };
        let store = Store::open_beside(&directory.join(state::DATABASE), settings_of_store)?;
        let parts = client::Parts {
            store: store.clone(),
            vault: Arc::new(Vault::open(&directory.join(state::SEALING_KEY))?),
            egress: config.egress.build()?,
            public_url: match &args.url {
                Some(url) => url.clone(),
                None => access::public_url(&config, config.listen.address)?,
            },
            assertion_key: None,
        };
        let credentials = Credentials::build(settings, parts)?;
        let outcome = connect(&credentials, args).await;
        store.close().await;
        outcome
    })?;
    output::tell(&format!("connected to {}\n", args.server));
    Ok(ExitCode::SUCCESS)
}

async fn connect(credentials: &Credentials, args: &cli::Connect) -> anyhow::Result<()> {
    let (server, holder) = (&*args.server, &*args.holder);
    if args.dangerously_headless {
        let connecting = credentials.connect_headless(server, holder, clock::now_ms());
        return connecting.await.context("not connected");
    }
    let begun = credentials.connect_by_hand(server, holder, clock::now_ms());
    let url = begun.await.context("the connection could not begin")?;
    output::tell(&explained(&url));
    output::print_line(url.as_str())?;
    let line = tokio::task::spawn_blocking(read_line).await??;
    let redirected_to = Url::parse(line.trim())
        .map_err(|_text| WrongRequest("what was pasted is not an address".to_owned()))?;
    let completed = credentials.connected_by_hand(holder, &redirected_to, clock::now_ms());
    completed.await.context("not connected")
}

/// What whoever makes the connection agrees to.
fn explained(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let scopes = url
        .query_pairs()
        .find(|(name, _)| name == "scope")
        .map_or_else(
            || "asks for no particular scope".to_owned(),
            |(_, scopes)| format!("asks for: {scopes}"),
        );
    format!(
        "The login is at {host}; the gateway {scopes}.\n\
         Open the address below in a browser. It ends at an address that need not load: paste that here.\n"
    )
}

fn read_line() -> std::io::Result<String> {
    let mut line = String::new();
    let input = std::io::stdin().lock();
    std::io::Read::take(input, ADDRESS_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}
