//! What the client does in each scenario.

use anyhow::Context as _;
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, JsonObject, ProtocolVersion, Tool},
    service::{ClientLifecycleMode, ClientServiceExt as _, RunningService},
    transport::StreamableHttpClientTransport,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{arguments, connect::Person, handler::Agreeable, skills};

/// A connection to the server under test.
pub(crate) type Session = RunningService<RoleClient, Agreeable>;

/// One scenario to be played.
#[derive(Debug)]
pub(crate) struct Run {
    /// The server.
    pub(crate) url: String,
    /// The scenario's name.
    pub(crate) scenario: String,
    /// The revision to be spoken.
    pub(crate) version: String,
    /// What the suite tells beside it.
    pub(crate) context: Context,
    /// Whoever connects the gateway to the server.
    pub(crate) person: Option<Person>,
}

/// The suite's context, as far as it concerns calls.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Context {
    tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    name: String,
    arguments: Option<JsonObject>,
}

impl Run {
    /// Plays the scenario to its end.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, answers with an error, or serves a skill that is not what it
    /// was said to be.
    pub(crate) async fn play(self) -> anyhow::Result<()> {
        let session = Person::asked(self.person.as_ref(), async || {
            let transport = StreamableHttpClientTransport::from_uri(self.url.as_str());
            Agreeable
                .serve_with_lifecycle(transport, self.lifecycle())
                .await
        })
        .await?;
        match self.scenario.as_str() {
            "initialize" | "json-schema-ref-no-deref" => {
                session.list_tools(None).await?;
            }
            "json-schema-2020-12-preservation" => echo_schema(&session).await?,
            "sep-2640-client-no-prefetch" => {
                session.list_skills(None).await?;
            }
            scenario if scenario.starts_with("sep-2640-") => skills::load(&session).await?,
            scenario => self.call_tools(&session, is_tolerant(scenario)).await?,
        }
        session.cancel().await?;
        Ok(())
    }

    /// The suite's server for one scenario speaks no discovery whatever the revision.
    fn lifecycle(&self) -> ClientLifecycleMode {
        let modern = self.version.as_str() >= ProtocolVersion::V_2026_07_28.as_str();
        if !modern || self.scenario == "json-schema-ref-no-deref" {
            return ClientLifecycleMode::Initialize;
        }
        let preferred_versions = ProtocolVersion::KNOWN_VERSIONS
            .iter()
            .rev()
            .cloned()
            .collect();
        ClientLifecycleMode::Discover { preferred_versions }
    }

    /// Calls what the suite asks to be called, or every tool once.
    async fn call_tools(&self, session: &Session, tolerant: bool) -> anyhow::Result<()> {
        let person = self.person.as_ref();
        let tools = Person::asked(person, async || session.list_tools(None).await)
            .await?
            .tools;
        let asked = self.context.tool_calls.iter();
        let asked = asked.map(|call| (call.name.clone(), call.arguments.clone()));
        let every = tools
            .iter()
            .map(|tool| (tool.name.to_string(), Some(arguments_of(tool))));
        let calls: Vec<_> = if self.context.tool_calls.is_empty() {
            every.collect()
        } else {
            asked.collect()
        };
        for (name, arguments) in calls {
            let mut request = CallToolRequestParams::new(name);
            request.arguments = arguments;
            let call = async || session.call_tool(request.clone()).await;
            let result = Person::asked(person, call).await;
            if !tolerant {
                result?;
            }
        }
        Ok(())
    }
}

/// Scenarios in which some calls are meant to fail.
fn is_tolerant(scenario: &str) -> bool {
    matches!(
        scenario,
        "request-metadata" | "sep-2322-client-request-state"
    )
}

fn arguments_of(tool: &Tool) -> Map<String, Value> {
    arguments::fitting(&tool.input_schema)
}

/// Sends one tool's schema back as the argument of another.
async fn echo_schema(session: &Session) -> anyhow::Result<()> {
    let tools = session.list_tools(None).await?.tools;
    let rich = tools
        .iter()
        .find(|tool| tool.name == "json_schema_2020_12_tool");
    let schema = Value::Object(
        rich.context("the rich tool is not listed")?
            .input_schema
            .as_ref()
            .clone(),
    );
    let mut request = CallToolRequestParams::new("json_schema_echo");
    request.arguments = Some(Map::from_iter([("schema".to_owned(), schema)]));
    session.call_tool(request).await?;
    Ok(())
}
