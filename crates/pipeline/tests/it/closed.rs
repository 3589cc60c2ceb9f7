//! Undeclared properties are refused: `docs/decisions/undeclared-properties.md`, case by case.

use portcullis_pipeline::schema::{Dialect, Invalid, Options, Validator};

fn told(schema: &str, json: &str, closed: bool) -> String {
    let options = Options {
        dialect: Dialect::default(),
        closed,
        formats: true,
    };
    let validator = Validator::compile(schema.as_bytes(), options).expect("a usable schema");
    match validator.validate(json.as_bytes()) {
        Ok(()) => "ok".into(),
        Err(Invalid::Faults(faults)) => faults.to_string(),
        Err(other) => format!("{other:?}"),
    }
}

/// Checks in 2020-12 and in draft 7, which agree on all that is tried here.
#[track_caller]
fn check(schema: &str, json: &str, expected: &str) {
    assert_eq!(told(schema, json, true), expected, "{schema} {json}");
    let members = schema.strip_prefix('{').expect("an object");
    let comma = if members == "}" { "" } else { "," };
    let draft7 =
        format!(r#"{{"$schema":"http://json-schema.org/draft-07/schema#"{comma}{members}"#);
    if !schema.contains("unevaluated") && !schema.starts_with(r#"{"$ref"#) {
        assert_eq!(told(&draft7, json, true), expected, "{draft7} {json}");
    }
    // What is refused for being undeclared alone is fine in an open schema.
    if expected.ends_with("is not declared") {
        assert_eq!(told(schema, json, false), "ok", "{schema} {json}");
    }
}

#[test]
fn the_root_is_always_closed() {
    check(r#"{"type":"object"}"#, "{}", "ok");
    check(r#"{"type":"object"}"#, r#"{"a":1}"#, "`/a` is not declared");
    check("{}", r#"{"a":1}"#, "`/a` is not declared");
    check(r#"{"properties":{"a":{}}}"#, r#"{"a":1}"#, "ok");
    check(
        r#"{"properties":{"a":{}}}"#,
        r#"{"a":1,"b":2}"#,
        "`/b` is not declared",
    );
    check(
        r#"{"properties":{"a":{}},"additionalProperties":false}"#,
        r#"{"b":2}"#,
        "`/b` fails `additionalProperties`",
    );
}

#[test]
fn it_may_be_opened_explicitly() {
    check(r#"{"additionalProperties":true}"#, r#"{"a":1}"#, "ok");
    check(r#"{"additionalProperties":{}}"#, r#"{"a":1}"#, "ok");
    check(
        r#"{"additionalProperties":{"type":"string"}}"#,
        r#"{"a":1}"#,
        "`/a` fails `type`",
    );
    check(r#"{"unevaluatedProperties":true}"#, r#"{"a":1}"#, "ok");
    check(r#"{"patternProperties":{"^x":{}}}"#, r#"{"x1":1}"#, "ok");
    check(
        r#"{"patternProperties":{"^x":{}}}"#,
        r#"{"y":1}"#,
        "`/y` is not declared",
    );
    check(
        r#"{"allOf":[{"properties":{"a":{}}},{"additionalProperties":true}]}"#,
        r#"{"b":1}"#,
        "ok",
    );
}

#[test]
fn a_nested_object_is_closed_when_it_declares_properties() {
    let nested = r#"{"properties":{"o":{"type":"object","properties":{"a":{}}}}}"#;
    check(nested, r#"{"o":{"a":1}}"#, "ok");
    check(nested, r#"{"o":{"b":1}}"#, "`/o/b` is not declared");
    check(
        r#"{"properties":{"o":{"type":"object","properties":{}}}}"#,
        r#"{"o":{"b":1}}"#,
        "`/o/b` is not declared",
    );
    check(
        r#"{"properties":{"o":{"type":"object"}}}"#,
        r#"{"o":{"b":{"c":1}}}"#,
        "ok",
    );
    check(r#"{"properties":{"o":true}}"#, r#"{"o":{"b":1}}"#, "ok");
    let items = r#"{"properties":{"l":{"items":{"properties":{"a":{}}}}}}"#;
    check(
        items,
        r#"{"l":[{"a":1},{"a/~":1}]}"#,
        "`/l/1/a~1~0` is not declared",
    );
    let maps = r#"{"properties":{"m":{"additionalProperties":{"properties":{"a":{}}}}}}"#;
    check(maps, r#"{"m":{"x":{"a":1}}}"#, "ok");
    check(maps, r#"{"m":{"x":{"b":1}}}"#, "`/m/x/b` is not declared");
}

#[test]
fn what_composition_declares_is_declared() {
    let all = r#"{"properties":{"a":{}},"allOf":[{"properties":{"b":{}}}]}"#;
    check(all, r#"{"a":1,"b":1}"#, "ok");
    check(all, r#"{"a":1,"c":1}"#, "`/c` is not declared");
    let any = r#"{"anyOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}"#;
    check(any, r#"{"a":"x"}"#, "ok");
    check(any, r#"{"a":"x","b":1}"#, "ok");
    check(any, r#"{"a":1,"b":1}"#, "`/a` is not declared");
    check(any, r#"{"c":1}"#, "`the whole` fails `anyOf`");
    let condition = r#"{"properties":{"kind":{}},"if":{"properties":{"kind":{"const":"x"}}},"then":{"properties":{"x":{}}},"else":{"properties":{"y":{}}}}"#;
    check(condition, r#"{"kind":"x","x":1}"#, "ok");
    check(condition, r#"{"kind":"z","x":1}"#, "`/x` is not declared");
    check(condition, r#"{"kind":"z","y":1}"#, "ok");
    let reference = r##"{"$ref":"#/$defs/p","$defs":{"p":{"properties":{"a":{}}}}}"##;
    check(reference, r#"{"a":1}"#, "ok");
    check(reference, r#"{"b":1}"#, "`/b` is not declared");
}

#[test]
fn a_union_is_closed_branch_by_branch() {
    let union = r#"{"properties":{"s":{"oneOf":[
        {"type":"object","properties":{"k":{"const":"a"},"x":{"properties":{"p":{}}}},"required":["k"]},
        {"type":"object","properties":{"k":{"const":"b"},"y":{}},"required":["k"]},
        {"type":"null"}]}}}"#;
    check(union, r#"{"s":{"k":"a","x":{"p":1}}}"#, "ok");
    check(
        union,
        r#"{"s":{"k":"a","x":{"q":1}}}"#,
        "`/s/x/q` is not declared",
    );
    check(union, r#"{"s":{"k":"a","y":1}}"#, "`/s/y` is not declared");
    check(union, r#"{"s":{"k":"b","y":1}}"#, "ok");
    check(union, r#"{"s":null}"#, "ok");
    check(union, r#"{"s":{"k":"c"}}"#, "`/s` fails `oneOf`");
}

#[test]
fn closing_changes_nothing_of_what_negation_means() {
    // An undeclared member inside must not turn `not`, `oneOf` or `if` round.
    let not = r#"{"properties":{"o":{}},"not":{"properties":{"o":{"properties":{"a":{}}}},"required":["o"]}}"#;
    check(not, r#"{"o":{"b":1}}"#, "`the whole` fails `not`");
    let one = r#"{"oneOf":[{"properties":{"o":{"properties":{"a":{}}}}},{"properties":{"o":{"properties":{"b":{}}}}}]}"#;
    check(one, r#"{"o":{"b":1}}"#, "`the whole` fails `oneOf`");
    let any = one.replace("oneOf", "anyOf");
    check(&any, r#"{"o":{"b":1}}"#, "ok");
    check(&any, r#"{"o":{"c":1}}"#, "`/o/c` is not declared");
}

#[test]
fn a_recursive_schema_is_closed_at_every_level() {
    let tree = r##"{"properties":{"v":{"type":"integer"},"c":{"items":{"$ref":"#"}}}}"##;
    check(tree, r#"{"v":1,"c":[{"v":2,"c":[{"v":3}]}]}"#, "ok");
    check(
        tree,
        r#"{"v":1,"c":[{"v":2,"c":[{"w":3}]}]}"#,
        "`/c/0/c/0/w` is not declared",
    );
    // A root that others apply in place is not closed there.
    let inner = r##"{"properties":{"a":{},"o":{"allOf":[{"$ref":"#"}],"properties":{"b":{}}}}}"##;
    check(inner, r#"{"o":{"a":1,"b":1}}"#, "ok");
    check(inner, r#"{"o":{"a":1,"c":1}}"#, "`/o/c` is not declared");
}

#[test]
fn integers_are_not_rounded() {
    let integer = r#"{"properties":{"n":{"type":"integer"},"l":{}}}"#;
    check(integer, r#"{"n":18446744073709551615}"#, "ok");
    check(integer, r#"{"n":-9223372036854775808}"#, "ok");
    // Whatever the schema says of the place, and however deep.
    for beyond in [
        "18446744073709551616",
        "-9223372036854775809",
        "100000000000000000000000",
    ] {
        let json = format!(r#"{{"n":{beyond},"l":[0,{{"a/b":{beyond}}}]}}"#);
        check(
            integer,
            &json,
            "`/n` fails `number`, `/l/1/a~1b` fails `number`",
        );
    }
    check(
        integer,
        r#"{"l":"18446744073709551616 \" 99999999999999999999"}"#,
        "ok",
    );
    check(integer, r#"{"l":1.8446744073709551616e19}"#, "ok");
    check(integer, r#"{"n":1e3}"#, "ok");
    check(
        r#"{"properties":{"n":{"maximum":9007199254740992}}}"#,
        r#"{"n":9007199254740993}"#,
        "`/n` fails `maximum`",
    );
    check(
        r#"{"properties":{"n":{"const":9007199254740993}}}"#,
        r#"{"n":9007199254740992}"#,
        "`/n` fails `const`",
    );
}

#[test]
fn three_faults_are_told_and_no_value() {
    let schema = r#"{"properties":{"a":{"type":"string"},"b":{"enum":["x"]},"c":{"minimum":5},"d":{"pattern":"^z"}},"required":["e"]}"#;
    let json = r#"{"a":1,"b":"secret-value","c":1,"d":"secret-value"}"#;
    check(
        schema,
        json,
        "`/e` fails `required`, `/a` fails `type`, `/b` fails `enum`",
    );
    let long = format!(r#"{{"{}`\n":1}}"#, "k".repeat(1000));
    assert_eq!(
        told("{}", &long, true).len(),
        200 + "`` is not declared".len()
    );
}
