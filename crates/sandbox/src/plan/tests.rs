use super::*;

fn plan(args: &[&str], env: &[(&str, &str)], cwd: Option<&str>) -> Plan {
    Plan {
        program: "/bin/p".into(),
        name: "p".into(),
        args: args.iter().map(OsString::from).collect(),
        env: env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        cwd: cwd.map(OsString::from),
    }
}

#[track_caller]
fn check(plan: &Plan) {
    assert_eq!(Plan::decode(&plan.encode()).as_ref(), Some(plan));
}

#[test]
fn what_is_encoded_is_decoded() {
    check(&plan(&[], &[], None));
    check(&plan(&["", "a b", "ü"], &[], Some("/tmp")));
    check(&plan(
        &["-x"],
        &[("A", ""), ("B", "1=2\n"), ("A", "x")],
        None,
    ));
    check(&plan(&["7"; 300], &[("LONG", &"v".repeat(100_000))], None));
}

#[test]
fn anything_else_is_not_decoded() {
    for bytes in [
        &b""[..],
        b"\0",
        b"p\0n\0\0",
        b"p\0n\0\0x\0",
        b"p\0n\0\x002\0a\0",
        b"p\0n\0\x000\0NAME\0",
        b"p\0n\0\x000",
    ] {
        assert_eq!(Plan::decode(bytes), None, "{bytes:?}");
    }
}
