//! Servers whose definitions are awaited, and versions.

use portcullis_policy::{ActionRef, Policies};

use crate::support::{file, files, line, mail, name, query};

const TEXT: &str = r#"
@id("mail") permit(principal, action == Action::"mail/send", resource) when { context.arguments has to };
@id("files") permit(principal, action, resource in Server::"files");
@id("both") forbid(principal == User::"bob", action in [Action::"mail/send", Action::"list"], resource);
"#;

#[test]
fn what_names_an_awaited_server_is_held_back_and_undecided() {
    let compiled = Policies::compile(&[file(TEXT)], &[files()], &[name("mail")], None).unwrap();
    let policies = compiled.policies;
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    assert_eq!(policies.held_back().collect::<Vec<_>>(), ["both", "mail"]);
    let (files, mail_name) = (name("files"), name("mail"));
    let decide = |server, action, who: &str| {
        let mut query = query(server, action, None);
        query.who.name = who;
        line(&policies.decide(&query))
    };
    let send = ActionRef::CallTool("send");
    assert_eq!(decide(&mail_name, send, "alice"), "deny: undecided");
    assert_eq!(
        decide(&files, ActionRef::CallTool("read_file"), "alice"),
        "allow by files"
    );
    assert_eq!(
        decide(&files, ActionRef::List("tools"), "alice"),
        "allow by files"
    );
    assert_eq!(
        decide(&files, ActionRef::List("tools"), "bob"),
        "deny: undecided by both"
    );

    let known =
        Policies::compile(&[file(TEXT)], &[crate::support::files(), mail()], &[], None).unwrap();
    assert_eq!(known.policies.held_back().count(), 0);
    let decision = known.policies.decide(&query(&mail_name, send, None));
    assert_eq!(line(&decision), "deny: no permit");
    assert_eq!(known.policies.digest(), policies.digest());
    assert_ne!(
        known.policies.definitions_digest(),
        policies.definitions_digest()
    );
}

#[test]
fn a_tool_of_an_awaited_server_is_not_offered() {
    let compiled = Policies::compile(&[file(TEXT)], &[files()], &[name("mail")], None).unwrap();
    let who = crate::support::ALICE;
    assert!(!compiled.policies.is_offered(&who, &name("mail"), "send"));
    assert!(
        compiled
            .policies
            .is_offered(&who, &name("files"), "read_file")
    );
}

#[test]
fn the_digest_is_of_names_and_texts_in_any_order() {
    let mut one = file("permit(principal, action, resource);");
    let mut two = file("");
    one.name = "a".into();
    two.name = "b".into();
    let digest = |files: &[_]| {
        let compiled = Policies::compile(files, &[], &[], None).unwrap();
        compiled.policies.digest().to_owned()
    };
    let first = digest(&[one.clone(), two.clone()]);
    assert_eq!(first, digest(&[two.clone(), one.clone()]));
    assert_eq!(first.len(), 64);
    one.name = "c".into();
    assert_ne!(first, digest(&[one, two]));
}

#[test]
fn no_definition_however_odd_keeps_policies_from_loading() {
    let odd = br#"{"properties": {"": {"type": "string"}, "__entity": {"type": "object", "properties": {"type": {"type": "string"}}},
        "__extn": {"type": "string"}, "\u0000 \"'\\": {"type": "integer"}, "type": {"type": "string"}, "\u202e": {"const": "x"}}}"#;
    let mut server = files();
    for name in ["", "call", "a/b", "\"); permit(", "\u{202e}", "__cedar"] {
        server.tools.push(portcullis_policy::ToolShape {
            name: name.into(),
            input_schema: std::sync::Arc::from(odd.as_slice()),
            ..server.tools[0].clone()
        });
    }
    let text = "@id(\"all\") permit(principal, action, resource);";
    let compiled = Policies::compile(&[file(text)], &[server], &[], None).unwrap();
    let server = name("files");
    let decision = compiled
        .policies
        .decide(&query(&server, ActionRef::CallTool("a/b"), None));
    assert_eq!(line(&decision), "allow by all");
}
