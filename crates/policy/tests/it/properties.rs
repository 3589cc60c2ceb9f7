//! What holds for any policies and any question: against Cedar's own answer over the whole set.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};
use portcullis_policy::{ActionRef, Decision, DenyReason, Policies, Query, ServerShape, Who};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{file, files, mail, name, query};

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal == User::\"alice\"",
    "principal in Group::\"staff\"",
    "principal in Group::\"admins\"",
    "principal is User in Group::\"staff\"",
    "principal in Client::\"desk\"",
    "principal is User",
];

const ACTIONS: &[&str] = &[
    "action",
    "action in Action::\"call\"",
    "action == Action::\"files/read_file\"",
    "action == Action::\"files/write_file\"",
    "action in [Action::\"files/write_file\", Action::\"call\"]",
    "action in [Action::\"files/delete_file\", Action::\"list\"]",
    "action == Action::\"call\"",
    "action == Action::\"list\"",
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource == Tool::\"files/write_file\"",
    "resource in Server::\"files\"",
    "resource == Server::\"files\"",
    "resource in Server::\"mail\"",
    "resource is Tool",
    "resource is Tool in Server::\"files\"",
    "resource is Server",
];

const CONDITIONS: &[&str] = &[
    "",
    "when { context.approved }",
    "unless { context.approved }",
    "when { context.history.calls * 4611686018427387904 > 5 }",
    "when { context.history.calls < 3 }",
    "when { context.kind == \"nobody\" }",
    "when { context.scopes.contains(\"b\") }",
    "when { context.labels.contains(\"secret\") && context.client like \"d*\" }",
    "when { context has arguments.path && context.arguments.path like \"/a*\" }",
    "when { context has arguments.size && context.arguments.size * 4611686018427387904 > 0 }",
    "when { Tool::\"files/read_file\".readOnly && principal in Group::\"staff\" }",
    "unless { context.now > datetime(\"2026-01-01\") }",
    "when { resource is Tool && resource.readOnly }",
    "when { resource is Tool && resource.stated.contains(\"destructive\") && resource.destructive } unless { context.approved }",
    "unless { resource is Tool && resource.classes.contains(\"disk\") && context.history.calls < 3 }",
    "when { resource is Tool && resource.labels.containsAny(context.labels) }",
    "when { resource is Tool && resource.words.containsAny([\"write\", \"delete\"]) && resource.openWorld }",
    "when { resource is Tool && (resource.destructive || context.history.calls * 4611686018427387904 > 5) }",
    "when { context.history.calls * 4611686018427387904 > 5 && resource is Tool && resource.readOnly }",
    "when { resource is Tool && resource.idempotent && context.history.calls * 4611686018427387904 > 5 }",
    "when { resource is Tool && context has arguments.path && context.arguments.path like \"/b*\" && resource.readOnly }",
    "when { resource is Tool && resource.readOnly && context.now > datetime(\"2026-01-01\").offset(duration(\"-1d2h\")) }",
    "when { action == Action::\"files/write_file\" || principal in Group::\"admins\" }",
    "when { principal == User::\"alice\" } unless { resource in Server::\"files\" && resource is Tool }",
    "when { if resource is Tool && resource.name like \"read*\" then context.kind == \"account\" else context.approved }",
];

fn policy() -> impl Strategy<Value = String> {
    use prop::sample::select;
    let effect = select(vec!["permit", "permit", "forbid"]);
    (
        effect,
        select(PRINCIPALS),
        select(ACTIONS),
        select(RESOURCES),
        select(CONDITIONS),
    )
        .prop_map(|(effect, principal, action, resource, condition)| {
            format!("{effect}({principal}, {action}, {resource}) {condition};\n")
        })
}

fn policies() -> impl Strategy<Value = String> {
    prop::collection::vec(policy(), 0..8).prop_map(|all| all.concat())
}

#[derive(Clone, Debug)]
struct Asked {
    user: &'static str,
    kind: &'static str,
    groups: &'static [&'static str],
    scopes: &'static [&'static str],
    labels: &'static [&'static str],
    /// The tool of `files`, or the list of its tools.
    tool: Option<&'static str>,
    arguments: Value,
    calls: u32,
}

fn asked() -> impl Strategy<Value = Asked> {
    use prop::sample::select;
    let groups: Vec<&[&str]> = vec![&[], &["staff"], &["admins", "staff"]];
    let scopes: Vec<&[&str]> = vec![&[], &["a"], &["a", "b"]];
    let labels: Vec<&[&str]> = vec![&[], &["secret"]];
    let arguments = select(vec![
        json!({"path": "/a/b"}),
        json!({"path": "/b"}),
        json!({"path": "/b", "size": 1}),
        json!({"path": "/a", "size": 4}),
    ]);
    let tool = select(vec![
        None,
        Some("read_file"),
        Some("write_file"),
        Some("delete_file"),
    ]);
    (
        (
            select(vec!["alice", "bob"]),
            select(vec!["account", "nobody"]),
        ),
        (select(groups), select(scopes), select(labels)),
        (tool, arguments, 0_u32..5),
    )
        .prop_map(
            |((user, kind), (groups, scopes, labels), (tool, arguments, calls))| Asked {
                user,
                kind,
                groups,
                scopes,
                labels,
                tool,
                arguments,
                calls,
            },
        )
}

impl Asked {
    fn who(&self) -> Who<'_> {
        Who {
            name: self.user,
            kind: self.kind,
            client: "desk",
            groups: self.groups,
            scopes: self.scopes,
        }
    }

    fn decide(&self, policies: &Policies, approved: bool) -> Decision {
        let server = name("files");
        let action = match self.tool {
            Some(tool) => ActionRef::CallTool(tool),
            None => ActionRef::List("tools"),
        };
        let mut query: Query<'_> = query(&server, action, Some(&self.arguments));
        query.who = self.who();
        query.labels = self.labels;
        query.history.calls = self.calls;
        query.approved = approved;
        policies.decide(&query)
    }
}

/// The server `files`, its tools with differing attributes.
fn shapes() -> ServerShape {
    let mut shape = files();
    for tool in &mut shape.tools {
        match &*tool.name {
            "read_file" => tool.labels = vec!["secret".to_owned()],
            "write_file" => tool.classes = vec!["disk".to_owned()],
            _ => tool.annotations.idempotent = Some(true),
        }
    }
    shape
}

fn compile(text: &str) -> Policies {
    let compiled = Policies::compile(&[file(text)], &[shapes(), mail()], &[], None);
    compiled
        .unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"))
        .policies
}

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

/// The request as Cedar takes it, with everything there is, made independently.
fn oracle_request(asked: &Asked, approved: bool) -> Request {
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let set = |all: &[&str]| RestrictedExpression::new_set(all.iter().map(|one| string(one)));
    let long = RestrictedExpression::new_long;
    let record = |pairs: Vec<(&str, RestrictedExpression)>| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        RestrictedExpression::new_record(pairs).unwrap()
    };
    let mut context = vec![
        ("approved", RestrictedExpression::new_bool(approved)),
        ("scopes", set(asked.scopes)),
        ("client", string("desk")),
        ("labels", set(asked.labels)),
        ("kind", string(asked.kind)),
        (
            "now",
            RestrictedExpression::new_datetime("2026-09-21T14:13:20.000Z"),
        ),
        (
            "history",
            record(vec![
                ("calls", long(i64::from(asked.calls))),
                ("calls_of_tool", long(2)),
                ("denials", long(1)),
            ]),
        ),
    ];
    let (action, resource) = if let Some(tool) = asked.tool {
        let mut arguments = vec![("path", string(asked.arguments["path"].as_str().unwrap()))];
        if let (Some(size), "write_file") = (asked.arguments["size"].as_i64(), tool) {
            arguments.push(("size", long(size)));
        }
        context.push(("arguments", record(arguments)));
        (
            format!("Action::\"files/{tool}\""),
            format!("Tool::\"files/{tool}\""),
        )
    } else {
        context.push(("what", string("tools")));
        (
            "Action::\"list\"".to_owned(),
            "Server::\"files\"".to_owned(),
        )
    };
    let context = context
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Request::new(
        uid(&format!("User::{:?}", asked.user)),
        uid(&action),
        uid(&resource),
        Context::from_pairs(context).unwrap(),
        None,
    )
    .unwrap()
}

fn oracle_entities(asked: &Asked) -> Entities {
    let mut parents: HashSet<EntityUid> = asked
        .groups
        .iter()
        .map(|group| uid(&format!("Group::{group:?}")))
        .collect();
    parents.insert(uid("Client::\"desk\""));
    let mut entities = vec![Entity::new_no_attrs(
        uid(&format!("User::{:?}", asked.user)),
        parents,
    )];
    for tool in ["read_file", "write_file", "delete_file"] {
        let string = |text: &&str| RestrictedExpression::new_string((*text).to_owned());
        let texts = |all: &[&str]| RestrictedExpression::new_set(all.iter().map(string));
        let yes = RestrictedExpression::new_bool;
        let (words, stated, classes, labels): (&[_], &[_], &[_], &[_]) = match tool {
            "read_file" => (&["read", "file"], &["readOnly"], &[], &["secret"]),
            "write_file" => (&["write", "file"], &[], &["disk"], &[]),
            _ => (
                &["delete", "file"],
                &["destructive", "idempotent"],
                &[],
                &[],
            ),
        };
        let attributes = [
            ("name", string(&tool)),
            ("words", texts(words)),
            ("stated", texts(stated)),
            ("readOnly", yes(tool == "read_file")),
            ("destructive", yes(tool != "read_file")),
            ("idempotent", yes(tool == "delete_file")),
            ("openWorld", yes(true)),
            ("classes", texts(classes)),
            ("labels", texts(labels)),
        ];
        let attributes: HashMap<String, RestrictedExpression> = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let server = HashSet::from([uid("Server::\"files\"")]);
        let this = uid(&format!("Tool::\"files/{tool}\""));
        entities.push(Entity::new(this, attributes, server).unwrap());
        let call = HashSet::from([uid("Action::\"call\"")]);
        entities.push(Entity::new_no_attrs(
            uid(&format!("Action::\"files/{tool}\"")),
            call,
        ));
    }
    Entities::from_entities(entities, None).unwrap()
}

/// Cedar's answer over the whole set: allowed, whether a policy erred, and the policies that
/// determined it.
fn oracle(text: &str, asked: &Asked, approved: bool) -> (bool, bool, Vec<String>) {
    let set = PolicySet::from_str(text).unwrap();
    let response = Authorizer::new().is_authorized(
        &oracle_request(asked, approved),
        &set,
        &oracle_entities(asked),
    );
    let erred = response.diagnostics().errors().next().is_some();
    let reason = response.diagnostics().reason();
    let mut determined: Vec<String> = reason
        .map(|id| {
            let id = id.to_string();
            let number: usize = id.strip_prefix("policy").unwrap().parse().unwrap();
            format!("own.cedar#{}", number + 1)
        })
        .collect();
    determined.sort();
    (
        response.decision() == cedar_policy::Decision::Allow && !erred,
        erred,
        determined,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_answers_as_cedar_does_over_the_whole_set(text in policies(), asked in asked()) {
        let policies = compile(&text);
        for approved in [false, true] {
            let decision = asked.decide(&policies, approved);
            let (allowed, erred, determined) = oracle(&text, &asked, approved);
            prop_assert_eq!(decision.is_allow(), allowed, "{:?}", decision);
            let undecided = matches!(decision, Decision::Deny { reason: DenyReason::Undecided, .. });
            prop_assert_eq!(undecided, erred, "{:?}", decision);
            if !erred && !matches!(decision, Decision::Ask { .. }) {
                let ids: Vec<&str> = decision.determined().ids().iter().map(|id| &**id).collect();
                prop_assert_eq!(ids, determined, "{:?}", decision);
            }
            if let Decision::Ask { .. } = decision {
                prop_assert!(!approved && oracle(&text, &asked, true).0);
            } else if !approved && !allowed && !erred {
                prop_assert!(!oracle(&text, &asked, true).0, "{:?}", decision);
            }
        }
    }

    #[test]
    fn one_more_forbid_never_turns_a_deny_into_an_allow(text in policies(), more in policy(), asked in asked()) {
        let before = asked.decide(&compile(&text), false);
        let more = more.replacen("permit", "forbid", 1);
        let after = asked.decide(&compile(&format!("{text}{more}")), false);
        if let Decision::Deny { .. } = before {
            prop_assert!(matches!(after, Decision::Deny { .. }), "{:?} {:?}", before, after);
        }
        if let Decision::Ask { .. } = before {
            prop_assert!(!after.is_allow(), "{:?} {:?}", before, after);
        }
    }

    #[test]
    fn a_tool_that_could_be_called_is_offered(text in policies(), asked in asked()) {
        let policies = compile(&text);
        let Some(tool) = asked.tool else { return Ok(()) };
        let offered = policies.is_offered(&asked.who(), &name("files"), tool);
        let decision = asked.decide(&policies, false);
        if !matches!(decision, Decision::Deny { .. }) {
            prop_assert!(offered, "{:?}", decision);
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer(text in policies(), asked in asked()) {
        let first = asked.decide(&compile(&text), false);
        prop_assert_eq!(&first, &asked.decide(&compile(&text), false));
    }

    #[test]
    fn without_a_policy_that_is_told_to_be_odd_the_same_is_allowed(text in policies(), asked in asked()) {
        let policies = compile(&text);
        for oddity in policies.oddities() {
            let number: usize = oddity.policy.rsplit('#').next().unwrap().parse().unwrap();
            let others = text.lines().enumerate().filter(|(at, _)| at + 1 != number);
            let rest: Vec<&str> = others.map(|(_, line)| line).collect();
            let rest = rest.join("\n");
            for approved in [false, true] {
                // What errs leaves everything undecided, also where it adds nothing.
                if !oracle(&text, &asked, approved).1 {
                    let before = asked.decide(&policies, approved);
                    let after = asked.decide(&compile(&rest), approved);
                    prop_assert_eq!(before.is_allow(), after.is_allow(), "{}", oddity);
                }
            }
        }
    }
}
