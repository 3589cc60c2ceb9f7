//! The server itself: each method of the protocol, answered by the module that knows it.
#![expect(
    deprecated,
    reason = "deprecated parts of the protocol are served as well"
)]

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams, GetSkillResult,
        GetTaskParams, GetTaskResult, Implementation, InitializeRequestParams, InitializeResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult,
        ListToolsResult, LoggingLevel, PaginatedRequestParams, ProtocolVersion,
        ReadResourceDirectoryRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, Reference, ServerCapabilities, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
        UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};

use crate::{
    asking::{self, Call, Step, Turn},
    catalogue,
    era::Era,
    plain, prompts, resources, script, skills, tasks,
    watchers::{Change, Subscribed, Watchers},
};

const TTL_MS: u64 = 60_000;

/// The server, as one session or one request sees it.
#[derive(Clone)]
pub(crate) struct Fixture {
    era: Era,
    tasks: TaskManager,
    watchers: Watchers,
    level: Arc<Mutex<LoggingLevel>>,
    subscribed: Subscribed,
}

impl Fixture {
    /// A server of `era` that nobody has called yet.
    pub(crate) fn new(era: Era) -> Self {
        Self {
            era,
            tasks: TaskManager::new(),
            watchers: Watchers::default(),
            level: Arc::new(Mutex::new(LoggingLevel::Debug)),
            subscribed: Subscribed::default(),
        }
    }

    /// The eras it speaks.
    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// The same server for a further session: tasks and listeners in common, the rest its own.
    pub(crate) fn for_session(&self) -> Self {
        Self {
            tasks: self.tasks.clone(),
            watchers: self.watchers.clone(),
            ..Self::new(self.era)
        }
    }

    fn level(&self) -> LoggingLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn trigger(&self, tool: &str) -> Option<CallToolResult> {
        let change = match tool {
            "test_trigger_tool_change" => Change::Tools,
            "test_trigger_prompt_change" => Change::Prompts,
            "test_trigger_resource_change" => Change::Resources,
            "test_trigger_resource_update" => Change::Watched,
            _ => return None,
        };
        self.watchers.tell(change).await;
        Some(CallToolResult::success(vec![ContentBlock::text("Told.")]))
    }
}

/// Every list fits on one page, so any cursor is a wrong one.
fn first_page(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match page.and_then(|page| page.cursor) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params("no such cursor", None)),
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_tools()
            .enable_tool_list_changed();
        let capabilities = match self.era {
            Era::Legacy => capabilities.build(),
            _ => capabilities
                .enable_tasks()
                .enable_skills_with_directory_read()
                .build(),
        };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("conformance-server", "0.1.0"))
            .with_instructions("Every tool here is for tests.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Owned(self.era.versions())
    }

    /// Extensions are a word of the modern era, so a handshake does not speak of them.
    async fn initialize(
        &self,
        request: InitializeRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        cx.peer.set_peer_info(request.clone());
        let mut result = self.negotiate_initialize(&request)?;
        result.capabilities.extensions = None;
        Ok(result)
    }

    async fn on_initialized(&self, cx: NotificationContext<RoleServer>) {
        self.watchers.add_session(cx.peer, self.subscribed.clone());
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == "test_custom_header").then(catalogue::header)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        first_page(page)?;
        let mut tools = catalogue::tools();
        tools.extend(tasks::tools(self.era != Era::Legacy));
        let list = ListToolsResult::with_all_items(tools);
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = request.name.to_string();
        if tasks::knows(&tool) {
            return tasks::call(&self.tasks, request, &cx).await;
        }
        let arguments = request.arguments.unwrap_or_default();
        if let Some(result) = plain::call(&tool, &arguments, self.level(), &cx).await {
            return result.map(Into::into);
        }
        if let Some(result) = self.trigger(&tool).await {
            return Ok(result.into());
        }
        if !script::knows(&tool) {
            return Err(ErrorData::invalid_params(
                format!("unknown tool `{tool}`"),
                None,
            ));
        }
        let declared = cx.client_capabilities().unwrap_or_default();
        let call = Call {
            name: &tool,
            responses: request.input_responses,
            state: request.request_state,
            needs_state: script::needs_state(&tool),
            asks_undeclared: tool == "test_missing_capability",
        };
        let turn = asking::run(call, &cx, |answers| {
            script::step(&tool, &arguments, &declared, answers)
                .unwrap_or_else(|| Step::Done(CallToolResult::error(Vec::new())))
        });
        Ok(match turn.await? {
            Turn::InputRequired(result) => result.into(),
            Turn::Done(result) => result.into(),
        })
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        first_page(page)?;
        let list = ListPromptsResult::with_all_items(prompts::list());
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let call = Call {
            name: &request.name,
            responses: request.input_responses,
            state: request.request_state,
            needs_state: false,
            asks_undeclared: false,
        };
        let turn = asking::run(call, &cx, |answers| {
            match prompts::step(&request.name, &arguments, answers) {
                Ok(Step::Ask(asks)) => Step::Ask(asks),
                Ok(Step::Done(result)) => Step::Done(Ok(result)),
                Err(error) => Step::Done(Err(error)),
            }
        });
        match turn.await? {
            Turn::InputRequired(result) => Ok(result.into()),
            Turn::Done(result) => result.map(Into::into),
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let known: &[&str] = match request.r#ref {
            Reference::Prompt(_) => &["paris", "park", "party", "testValue1"],
            _ => &["1", "2", "3"],
        };
        let fits = known
            .iter()
            .filter(|value| value.starts_with(&request.argument.value));
        let values = fits.map(|value| (*value).to_owned()).collect();
        let info = CompletionInfo::new(values);
        info.map(CompleteResult::new)
            .map_err(|error| ErrorData::internal_error(error, None))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = request.level;
        Ok(())
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        first_page(page)?;
        let list = ListResourcesResult::with_all_items(resources::list());
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        first_page(page)?;
        let list = ListResourceTemplatesResult::with_all_items(resources::templates());
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let result = ReadResourceResult::new(vec![resources::read(&request.uri)?]);
        Ok(result
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public)
            .into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed.add(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed.remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, cx: SubscriptionContext) -> Result<(), ErrorData> {
        self.watchers.add_sink(cx.sink().clone());
        cx.cancelled().await;
        self.watchers.remove_sink(cx.sink());
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks
            .get_task(&request.task_id)
            .map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }

    async fn list_skills(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        first_page(page)?;
        let list = ListSkillsResult::with_all_items(skills::list());
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        let skill = skills::list()
            .into_iter()
            .find(|skill| skill.uri == request.uri);
        let skill = skill.ok_or_else(|| ErrorData::invalid_params("no such skill", None))?;
        let result = GetSkillResult::new(skill);
        Ok(result
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let list = ListResourcesResult::with_all_items(skills::children(&request.uri)?);
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }
}
