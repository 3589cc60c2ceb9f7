use portcullis_constraint::Reason;

use super::*;
use crate::schema::{Invalid, Options, Validator};

fn every() -> Vec<Denial> {
    let options = Options {
        dialect: crate::schema::Dialect::Draft202012,
        closed: true,
        formats: true,
    };
    let faults = || match Validator::compile(b"{}", options)
        .unwrap()
        .validate(br#"{"x":1}"#)
    {
        Err(Invalid::Faults(faults)) => faults,
        other => panic!("{other:?}"),
    };
    vec![
        Denial::MethodNotAllowed,
        Denial::UnknownTool,
        Denial::UnusableTool(Unusable::Dialect),
        Denial::MalformedParams { member: "uri" },
        Denial::InsufficientScope { needed: None },
        Denial::InvalidArguments(faults()),
        Denial::UndecidedArguments,
        Denial::Constraint(Box::new(Violation {
            pointer: "/path".to_owned(),
            kind: "path",
            reason: Reason::OutsideRoots,
        })),
        Denial::UndecidedConstraint,
        Denial::AddressRefused {
            pointer: "/url".into(),
        },
        Denial::NotPermitted,
        Denial::Forbidden,
        Denial::UndecidedPolicy,
        Denial::ApprovalRequired(Box::new(Approval {
            id: "a".into(),
            message: "m".to_owned(),
            expires_ms: 1,
            is_new: true,
        })),
        Denial::ApprovalDenied,
        Denial::ApprovalsExhausted,
        Denial::PathMoved,
        Denial::TooLarge {
            member: "uri",
            max: 1,
        },
        Denial::ResultTooLarge {
            member: "result",
            max: 1,
        },
        Denial::MalformedResult { member: "content" },
        Denial::InvalidResult(faults()),
        Denial::UnusableOutput(Unusable::Json),
        Denial::UndecidedResult,
        Denial::MalformedAsk { member: "params" },
        Denial::AskTooLarge {
            member: "params",
            max: 1,
        },
        Denial::SecretElicitation { word: "password" },
        Denial::UnsafeElicitationUrl {
            reason: "it has no host",
        },
        Denial::MalformedAnswer { member: "action" },
        Denial::UndecidedRecord(RecordError::Closed),
    ]
}

#[test]
fn every_denial_has_a_code_of_its_own_that_is_documented() {
    let mut codes: Vec<_> = every().iter().map(Denial::code).collect();
    codes.sort_unstable();
    let mut documented: Vec<_> = Denial::codes().iter().map(|(code, _)| *code).collect();
    documented.sort_unstable();
    assert_eq!(codes, documented);
    codes.dedup();
    assert_eq!(codes.len(), documented.len());
}

#[test]
fn a_sentence_tells_what_to_do_next() {
    for denial in every() {
        let sentence = denial.sentence();
        assert!(
            sentence.contains(';') || sentence.contains(", then"),
            "{sentence}"
        );
        assert!(
            !sentence.contains('\n') && !sentence.contains("  "),
            "{sentence}"
        );
    }
}
