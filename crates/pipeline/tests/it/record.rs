//! The whole order: what passes is recorded first, and without a record nothing passes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::Era;
use portcullis_pipeline::permissions::{self, Permissions, ServerRules};
use portcullis_pipeline::{
    Ask, Catalog, Completion, Denial, Outcome, Pipeline, Principal, PrincipalKind, Request,
    RequestId, Settings, Timestamp, ToolDefinition,
};
use portcullis_policy::PolicyFile;
use portcullis_store::{CallFilter, CallRow, Store};
use proptest::prelude::*;

const TOOL: &str = r#"{"name":"add","inputSchema":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]},"outputSchema":{"type":"object","properties":{"sum":{"type":"integer"}},"required":["sum"]}}"#;

fn open(path: &Path) -> Store {
    Store::open(path, portcullis_store::Settings::default()).unwrap()
}

fn tool() -> Arc<ToolDefinition> {
    let catalog = Catalog::build(vec![Bytes::from_static(TOOL.as_bytes())], None);
    Arc::clone(catalog.get("add").unwrap())
}

/// A permission model that permits everything.
fn permissive() -> Permissions {
    model("permit (principal, action, resource);")
}

/// A permission model of these policies.
fn model(policies: &str) -> Permissions {
    let policy = PolicyFile {
        name: "all".into(),
        text: policies.into(),
    };
    let settings = permissions::Settings {
        files: vec![policy],
        servers: [("maths".parse().unwrap(), ServerRules::default())].into(),
        ..permissions::Settings::default()
    };
    Permissions::build(settings, Arc::default()).unwrap()
}

fn ada() -> Principal {
    Principal::new("ada", PrincipalKind::Token)
}

fn request(method: &str, params: &str) -> Request {
    Request {
        id: RequestId::new(Timestamp(1_790_000_000_000), 42),
        at: Timestamp(1_790_000_000_000),
        principal: ada(),
        client: Some("test".into()),
        server: "maths".parse().unwrap(),
        method: method.into(),
        target: (method == "tools/call").then(|| "add".into()),
        params: Some(Bytes::copy_from_slice(params.as_bytes())),
        tool: (method == "tools/call").then(tool),
        era_client: Era::Modern,
        era_server: Era::Legacy,
    }
}

fn call() -> Request {
    request("tools/call", r#"{"name":"add","arguments":{"a":1,"b":2}}"#)
}

fn completion(outcome: Outcome) -> Completion {
    Completion {
        outcome,
        at: Timestamp(1_790_000_000_005),
        duration: Duration::from_micros(4321),
        error_code: None,
        result_bytes: Some(64),
    }
}

async fn rows(store: &Store) -> Vec<CallRow> {
    store.calls().flush().await.unwrap();
    store.calls().search(CallFilter::default()).await.unwrap()
}

#[tokio::test]
async fn a_call_passes_with_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let pipeline = Pipeline::new(Settings::default(), permissive(), store.clone());
    let (authorized, ticket) = pipeline.check_request(call()).await.unwrap();
    let begun = rows(&store).await;
    assert_eq!(begun[0].outcome, "started");
    assert_eq!(begun[0].request_id, authorized.id.to_string());
    assert_eq!(begun[0].target.as_deref(), Some("add"));
    assert_eq!(
        (&*begun[0].era_client, &*begun[0].era_server),
        ("modern", "legacy")
    );
    assert!(begun[0].arguments_sha256.is_some());

    let result = br#"{"content":[],"structuredContent":{"sum":3,"more":true}}"#;
    let body = pipeline
        .check_result(&authorized, &ticket, Bytes::from_static(result))
        .await
        .unwrap();
    assert_eq!(&body.bytes()[..], result);
    ticket.finish(completion(Outcome::Ok));
    let done = rows(&store).await;
    assert_eq!((&*done[0].outcome, done[0].duration_us), ("ok", Some(4321)));
    assert_eq!(store.calls().unfinished().await.unwrap(), 0);
}

#[tokio::test]
async fn a_denial_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let pipeline = Pipeline::new(Settings::default(), permissive(), store.clone());
    let extra = r#"{"name":"add","arguments":{"a":1,"b":2,"c":"secret"}}"#;
    let denial = pipeline
        .check_request(request("tools/call", extra))
        .await
        .unwrap_err();
    assert_eq!(denial.code(), "invalid-arguments");
    assert_eq!(
        denial.sentence(),
        "the arguments do not fit the tool's input schema: `/c` is not declared; correct them and call again"
    );
    let unknown = Request {
        tool: None,
        ..call()
    };
    assert!(matches!(
        pipeline.check_request(unknown).await,
        Err(Denial::UnknownTool)
    ));
    let missing = request("tools/call", r#"{"name":"add"}"#);
    assert!(matches!(
        pipeline.check_request(missing).await,
        Err(Denial::InvalidArguments(_))
    ));
    let method = request("tools/destroy", "{}");
    assert!(matches!(
        pipeline.check_request(method).await,
        Err(Denial::MethodNotAllowed)
    ));
    let codes: Vec<_> = rows(&store)
        .await
        .into_iter()
        .rev()
        .map(|row| row.denial_code.unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "invalid-arguments",
            "unknown-tool",
            "invalid-arguments",
            "method-not-allowed"
        ]
    );
}

#[tokio::test]
async fn a_result_fits_its_output_schema() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::new(
        Settings::default(),
        permissive(),
        open(&folder.path().join("db")),
    );
    let (authorized, ticket) = pipeline.check_request(call()).await.unwrap();
    let code = async |result: &'static str| {
        let result = Bytes::from_static(result.as_bytes());
        let checked = pipeline.check_result(&authorized, &ticket, result).await;
        checked.map(drop).map_err(|denial| denial.code())
    };
    assert_eq!(code(r#"{"content":[]}"#).await, Err("malformed-result"));
    assert_eq!(
        code(r#"{"content":[],"structuredContent":{"sum":"3"}}"#).await,
        Err("invalid-result")
    );
    assert_eq!(code(r#"{"content":[],"isError":true}"#).await, Ok(()));
    assert_eq!(
        code(r#"{"content":[],"structuredContent":{"sum":3}}"#).await,
        Ok(())
    );
    let denial = Denial::MalformedResult {
        member: "structuredContent",
    };
    ticket.deny(&denial, completion(Outcome::Ok));
}

#[tokio::test]
async fn a_ticket_that_is_dropped_abandons_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let pipeline = Pipeline::new(Settings::default(), permissive(), store.clone());
    drop(pipeline.check_request(call()).await.unwrap());
    assert_eq!(rows(&store).await[0].outcome, "abandoned");
}

#[tokio::test]
async fn what_a_server_asks_is_recorded_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let pipeline = Pipeline::new(Settings::default(), permissive(), store.clone());
    let ask = |field: &str| Ask {
        id: RequestId::new(Timestamp(1), 1),
        at: Timestamp(1),
        principal: ada(),
        server: "maths".parse().unwrap(),
        method: "elicitation/create".into(),
        params: Some(Bytes::from(format!(
            r#"{{"message":"m","requestedSchema":{{"type":"object","properties":{{"{field}":{{"type":"string"}}}}}}}}"#
        ))),
        era_client: Era::Legacy,
        era_server: Era::Legacy,
    };
    let (authorized, ticket) = pipeline.check_ask(ask("colour")).await.unwrap();
    let answer = |json: &'static str| {
        pipeline
            .check_answer(&authorized, Bytes::from_static(json.as_bytes()))
            .map(drop)
            .map_err(|it| it.code())
    };
    assert_eq!(
        answer(r#"{"action":"accept","content":{"colour":"red"}}"#),
        Ok(())
    );
    assert_eq!(answer(r#"{"action":"maybe"}"#), Err("malformed-answer"));
    ticket.finish(completion(Outcome::Ok));
    let denial = pipeline.check_ask(ask("password")).await.unwrap_err();
    assert_eq!(denial.code(), "secret-elicitation");
    let outcomes: Vec<_> = rows(&store)
        .await
        .into_iter()
        .map(|row| row.outcome)
        .collect();
    assert_eq!(outcomes, ["denied", "ok"]);
}

#[tokio::test]
async fn a_full_disk_lets_nothing_pass() {
    let folder = tempfile::tempdir().unwrap();
    let settings = portcullis_store::Settings {
        size_max_bytes: Some(512 << 10),
        ..Default::default()
    };
    let store = Store::open(&folder.path().join("db"), settings).unwrap();
    let pipeline = Pipeline::new(Settings::default(), permissive(), store);
    let denial = loop {
        match pipeline.check_request(call()).await {
            Ok((_, ticket)) => ticket.finish(completion(Outcome::Ok)),
            Err(denial) => break denial,
        }
    };
    assert_eq!(denial.code(), "undecided-record");
    assert!(pipeline.check_request(call()).await.is_err());
}

fn methods() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "tools/call",
            "tools/list",
            "resources/read",
            "prompts/get",
            "ping",
            "initialize",
            "completion/complete",
        ])
        .prop_map(String::from),
        "[a-z]{0,8}(/[a-z]{0,8})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_closed_store_lets_nothing_pass(
        method in methods(),
        params in prop_oneof![
            Just(r#"{"name":"add","arguments":{"a":1,"b":2}}"#.to_owned()),
            Just(r#"{"uri":"file:///a"}"#.to_owned()),
            "\\{\"[a-z]{1,5}\":(1|null|\"x\"|\\[\\])\\}",
            "\\PC{0,40}",
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = open(&folder.path().join("db"));
            store.close().await;
            let pipeline = Pipeline::new(Settings::default(), permissive(), store);
            let outcome = pipeline.check_request(request(&method, &params)).await;
            prop_assert!(outcome.is_err());
            Ok(())
        })?;
    }
}

/// What is sent for these arguments, or the denial's code.
async fn sent(schema: &str, arguments: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let pipeline = Pipeline::new(Settings::default(), permissive(), store);
    let definition = format!(r#"{{"name":"add","inputSchema":{schema}}}"#);
    let definition = ToolDefinition::compile(definition.into()).unwrap();
    let params = format!(r#"{{"name":"add","arguments":{arguments},"_meta":{{}}}}"#);
    let request = Request {
        tool: Some(Arc::new(definition)),
        ..request("tools/call", &params)
    };
    match pipeline.check_request(request).await {
        Ok((request, _ticket)) => {
            String::from_utf8(request.params.clone().unwrap().to_vec()).unwrap()
        }
        Err(denial) => denial.code().into(),
    }
}

#[tokio::test]
async fn a_null_for_an_optional_argument_is_taken_out() {
    let schema = r##"{"type":"object","required":["r"],"properties":{"r":{"type":"string"},
        "o":{"type":"integer"},"n":{"type":["integer","null"]},"u":{"$ref":"#/$defs/u"},"x":{}},
        "$defs":{"u":{"anyOf":[{"type":"string"},{"type":"object","properties":{"d":{"type":"string"}}}]}}}"##;
    let as_sent =
        |arguments: &str| format!(r#"{{"name":"add","arguments":{arguments},"_meta":{{}}}}"#);
    for (arguments, expected) in [
        (r#"{"r":"a","o":null}"#, r#"{"r":"a"}"#),
        (
            r#"{"o":null,"r":"a","u": null , "n":1}"#,
            r#"{"r":"a","n":1}"#,
        ),
        // Null is a value where the schema says so, and stays.
        (
            r#"{"r":"a","n":null,"x":null}"#,
            r#"{"r":"a","n":null,"x":null}"#,
        ),
        (
            r#"{"r":"a","o":null,"n":null,"x":null}"#,
            r#"{"r":"a","n":null,"x":null}"#,
        ),
    ] {
        assert_eq!(
            sent(schema, arguments).await,
            as_sent(expected),
            "{arguments}"
        );
    }
    for arguments in [
        r#"{"r":null}"#,
        r#"{"r":"a","undeclared":null}"#,
        r#"{"r":"a","o":null,"undeclared":1}"#,
        r#"{"r":1,"o":null}"#,
        r#"{"r":"a","u":{"d":null}}"#,
        r#"{"r":"a","o":"1"}"#,
    ] {
        assert_eq!(
            sent(schema, arguments).await,
            "invalid-arguments",
            "{arguments}"
        );
    }
}

#[tokio::test]
async fn a_question_to_a_person_is_forgotten_after_a_day() {
    const HOUR_MS: u64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let asking = "permit (principal, action, resource) when { context.approved };";
    let pipeline = Pipeline::new(Settings::default(), model(asking), store);
    let denied = pipeline.check_request(call()).await;
    let Err(Denial::ApprovalRequired(approval)) = denied else {
        panic!("{denied:?}");
    };
    let asked = call().at.0;
    for (later, is_known) in [(23 * HOUR_MS, true), (25 * HOUR_MS, false)] {
        pipeline
            .forget_approvals(Timestamp(asked + later))
            .await
            .unwrap();
        let state = pipeline.approval_state(&approval.id).await.unwrap();
        assert_eq!(state.is_some(), is_known, "{later}");
    }
}
