//! What the client answers when a server asks.
#![expect(
    deprecated,
    reason = "sampling and roots are deprecated, and still asked for"
)]

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequestParams, ElicitResult, ElicitationAction, Implementation, ListRootsResult,
        Root, SamplingMessage,
    },
    service::RequestContext,
};
use serde_json::Value;

use crate::arguments;

/// A user who agrees to everything and takes every default.
#[derive(Debug, Clone)]
pub(crate) struct Agreeable;

impl ClientHandler for Agreeable {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder()
            .enable_elicitation()
            .enable_roots()
            .enable_sampling()
            .build();
        ClientConfig::new(
            capabilities,
            Implementation::new("conformance-client", "0.1.0"),
        )
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let result = ElicitResult::new(ElicitationAction::Accept);
        let ElicitRequestParams::FormElicitationParams {
            requested_schema, ..
        } = request
        else {
            return Ok(result);
        };
        let wrong = |error: serde_json::Error| ErrorData::invalid_params(error.to_string(), None);
        let schema = serde_json::to_value(requested_schema).map_err(wrong)?;
        let content = schema.as_object().map(|schema| {
            let mut content = arguments::fitting(schema);
            let all = schema.get("properties").and_then(Value::as_object);
            for (name, property) in all.into_iter().flatten() {
                content
                    .entry(name)
                    .or_insert_with(|| arguments::value(property));
            }
            Value::Object(content)
        });
        Ok(result.with_content(content.unwrap_or_default()))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::assistant_text("All is well.");
        Ok(CreateMessageResult::new(message, "no-model".to_owned()).with_stop_reason("endTurn"))
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![
            Root::new("file:///workspace").with_name("workspace"),
        ]))
    }
}
