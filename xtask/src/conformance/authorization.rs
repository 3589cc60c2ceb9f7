//! The suite's authorization scenarios, with the gateway as the OAuth client.
//!
//! The suite names the scenario, and tells the client's secrets, in the environment of the client that it starts; from both
//! follows the `auth` of the gateway's server. Where a person would open a link, `portcullis connect` follows it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::conformance::{Revision, binary, client};
use crate::gateway::{self, quoted};
use crate::step::Step;
use crate::workspace::Workspace;

/// Those of both revisions.
macro_rules! common {
    ($($more:literal),* $(,)?) => {
        &[
            "auth/metadata-default",
            "auth/metadata-var1",
            "auth/metadata-var2",
            "auth/metadata-var3",
            "auth/basic-cimd",
            "auth/scope-from-www-authenticate",
            "auth/scope-from-scopes-supported",
            "auth/scope-omitted-when-undefined",
            "auth/scope-step-up",
            "auth/scope-retry-limit",
            "auth/token-endpoint-auth-basic",
            "auth/token-endpoint-auth-post",
            "auth/token-endpoint-auth-none",
            "auth/pre-registration",
            // Extensions, which are not scored.
            "auth/client-credentials-jwt",
            "auth/client-credentials-basic",
            "auth/enterprise-managed-authorization",
            "auth/dpop",
            "auth/dpop-nonce",
            "auth/wif-jwt-bearer",
            $($more),*
        ]
    };
}

/// The scenarios, by the revision they run at.
const SCENARIOS: &[(Revision, &[&str])] = &[
    (Revision::V2025_11_25, common!()),
    (
        Revision::V2026_07_28,
        common!(
            "auth/resource-mismatch",
            "auth/offline-access-scope",
            "auth/offline-access-not-supported",
            "auth/authorization-server-migration",
            "auth/iss-supported",
            "auth/iss-not-advertised",
            "auth/iss-supported-missing",
            "auth/iss-wrong-issuer",
            "auth/iss-unexpected",
            "auth/iss-normalized",
            "auth/metadata-issuer-mismatch",
        ),
    ),
];

/// The step.
pub(crate) fn step() -> Step {
    Step::new(
        "conformance-client-auth",
        "the official suite's authorization scenarios, with the gateway as the OAuth client",
        |workspace, log| {
            let program = binary(workspace, "xtask")?;
            let command = format!("{} conformance-shim", program.display());
            client::work(
                workspace,
                log,
                "conformance-client-auth",
                &command,
                SCENARIOS,
            )
        },
    )
}

/// The configuration of a gateway whose only server is the scenario's, with the credential that the scenario is about.
pub(crate) fn config(dir: &Path, server_url: &str) -> Result<String> {
    let scenario = variable("MCP_CONFORMANCE_SCENARIO");
    let context: Value =
        serde_json::from_str(&variable("MCP_CONFORMANCE_CONTEXT")).unwrap_or_default();
    let mut config = format!("[servers.scenario]\nurl = {}\n", quoted(server_url));
    if !scenario.starts_with("auth/") {
        return Ok(config);
    }
    let auth = match scenario.as_str() {
        "auth/client-credentials-jwt" => format!(
            "kind = \"client-credentials\"\nclient = {{ id = {}, key = \"${{file:{}}}\" }}",
            text(&context, "client_id")?,
            kept(dir, "key.pem", &context, "private_key_pem")?,
        ),
        "auth/client-credentials-basic" => {
            format!(
                "kind = \"client-credentials\"\nclient = {}",
                client_of(dir, &context)?
            )
        }
        "auth/enterprise-managed-authorization" => format!(
            "kind = \"id-jag\"\nclient = {}\nprovider = {{ token_endpoint = {}, client = {{ id = {} }} }}\n\
             subject = {{ kind = \"file\", path = {} }}",
            client_of(dir, &context)?,
            text(&context, "idp_token_endpoint")?,
            text(&context, "idp_client_id")?,
            quoted(kept(dir, "id-token", &context, "idp_id_token")?),
        ),
        "auth/wif-jwt-bearer" => {
            let id = text(&context, "client_id")
                .map_or_else(|_none| String::new(), |id| format!("\nclient_id = {id}"));
            let token = kept(dir, "workload-token", &context, "valid_jwt")?;
            format!(
                "kind = \"workload-identity\"\ntoken_file = {}{id}",
                quoted(token)
            )
        }
        _ if context.get("client_id").is_some() => {
            format!("kind = \"oauth\"\nclient = {}", client_of(dir, &context)?)
        }
        _ => "kind = \"oauth\"".to_owned(),
    };
    config.push_str("[servers.scenario.auth]\n");
    config.push_str(&auth);
    config.push('\n');
    if scenario == "auth/basic-cimd" {
        let url = "https://conformance-test.local/client-metadata.json";
        config.push_str("[credentials]\nclient_metadata_url = \"");
        config.push_str(url);
        config.push_str("\"\n");
    }
    Ok(config)
}

/// The command that connects the gateway beneath `dir` to its server, as a JSON array.
pub(crate) fn person(workspace: &Workspace, dir: &Path, url: &str) -> Result<String> {
    let program = gateway::program(workspace)?;
    let (config, state) = (dir.join("portcullis.toml"), dir.join("state"));
    let command = json!([
        program,
        "connect",
        "scenario",
        "--dangerously-headless",
        "--url",
        url,
        "--config",
        config,
        "--state-dir",
        state
    ]);
    Ok(command.to_string())
}

/// The client that the scenario registered, as TOML.
fn client_of(dir: &Path, context: &Value) -> Result<String> {
    let id = text(context, "client_id")?;
    if context.get("client_secret").is_none() {
        return Ok(format!("{{ id = {id} }}"));
    }
    let secret = kept(dir, "client-secret", context, "client_secret")?;
    Ok(format!("{{ id = {id}, secret = \"${{file:{secret}}}\" }}"))
}

/// A text of the context, as TOML.
fn text(context: &Value, member: &str) -> Result<String> {
    let text = context.get(member).and_then(Value::as_str);
    text.map(quoted)
        .with_context(|| format!("the suite tells no `{member}`"))
}

/// Writes a text of the context to a file; the file's path.
fn kept(dir: &Path, name: &str, context: &Value, member: &str) -> Result<String> {
    let text = context.get(member).and_then(Value::as_str);
    let text = text.with_context(|| format!("the suite tells no `{member}`"))?;
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("`{}` can't be written", path.display()))?;
    Ok(path.display().to_string())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
