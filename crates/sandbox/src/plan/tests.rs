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
        jail: None,
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
fn a_jail_is_decoded_too() {
    let mut plan = plan(&["a"], &[("N", "v")], None);
    for (tier, network, cpu_seconds) in [
        (Tier::Full, Network::Guarded, Some(7)),
        (Tier::Confined, Network::None, None),
    ] {
        plan.jail = Some(Jail {
            tier,
            network,
            local_sockets: network == Network::Guarded,
            limits: Limits {
                cpu_seconds,
                ..Limits::default()
            },
            uid: 2_100_000_000,
            layout: Layout {
                binds: vec![
                    Bind {
                        path: "/a".into(),
                        access: Access::Runtime,
                    },
                    Bind {
                        path: "/a b/ü\n".into(),
                        access: Access::Write,
                    },
                ],
                links: vec![("/l".into(), "../a".into())],
                covers: vec!["/a/c".into()],
                pins: vec![],
            },
        });
        check(&plan);
    }
    // A tier that needs no jail, or is none.
    let bytes =
        b"/p\0n\0\x000\x000\0off\0none\0\x001\x001\x001\x001\x001\0\x001\x000\x000\x000\x000\0";
    assert_eq!(Plan::decode(bytes), None);
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
        b"p\0n\0\x000\x001\0NAME\0",
        b"p\0n\0\x000\x000\0none\0more\0",
        b"p\0n\0\x000",
    ] {
        assert_eq!(Plan::decode(bytes), None, "{bytes:?}");
    }
}
