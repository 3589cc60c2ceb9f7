use super::*;

fn read(text: &str) -> Read {
    let environment = [("TOKEN", "0123456789abcdef0123456789abcdef")]
        .into_iter()
        .collect();
    parse(
        text,
        FilePath::new("/etc/portcullis"),
        &environment,
        None,
        |_, _| Vec::new(),
    )
}

#[test]
fn the_empty_file_is_the_default() {
    let Read { config, list, .. } = read("");
    let config = config.unwrap();
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8420");
    assert_eq!(
        list.iter().map(|m| m.code).collect::<Vec<_>>(),
        ["no-servers"]
    );
}

#[test]
fn relative_paths_start_at_the_files_directory() {
    let text = r#"
        state = { directory = "state" }
        listen = { tls = { certificate = "c.pem", key = "/keys/k.pem" } }
        servers = { a = { command = ["a"], cwd = ".." } }
    "#;
    let config = read(text).config.unwrap();
    let tls = config.listen.tls.unwrap();
    assert_eq!(
        config.state.directory.unwrap(),
        PathBuf::from("/etc/portcullis/state")
    );
    assert_eq!(tls.certificate, PathBuf::from("/etc/portcullis/c.pem"));
    assert_eq!(tls.key, PathBuf::from("/keys/k.pem"));
    let server = config.servers.get("a").unwrap();
    assert_eq!(
        server.cwd.as_ref().unwrap(),
        &PathBuf::from("/etc/portcullis/..")
    );
}

#[test]
fn a_name_server_has_an_address_and_a_port() {
    let check = |text: &str, expected: bool| {
        let Read { config, list, .. } = read(&format!("egress.name_servers = [\"{text}\"]"));
        let is_good = config.is_some() && list.iter().all(|mistake| mistake.code == "no-servers");
        assert_eq!(is_good, expected, "{text}: {list:?}");
    };
    check("127.0.0.1:53", true);
    check("[2001:db8::53]:53", true);
    check("127.0.0.1:0", false);
    check("0.0.0.0:53", false);
    check("127.0.0.1", false);
    check("dns.example:53", false);
}

#[test]
fn a_reference_reaches_every_string() {
    let text = r#"
        clients.a.token = "${TOKEN}"
        servers.a.command = ["run", "--key=${TOKEN}"]
        servers.a.env.KEY = "${TOKEN}"
        servers.b.url = "https://b.example/"
        servers.b.headers.Authorization = "Bearer ${TOKEN}"
    "#;
    let config = read(text).config.unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    assert_eq!(config.clients["a"].token, token);
    assert_eq!(config.servers["a"].command[1], format!("--key={token}"));
    assert_eq!(config.servers["a"].env["KEY"], token);
    assert_eq!(
        config.servers["b"].headers["Authorization"],
        format!("Bearer {token}")
    );
}

#[test]
fn what_a_reference_stands_for_is_never_shown() {
    let secret = "hunter2 hunter2";
    let environment: Environment = [("S", secret)].into_iter().collect();
    // Every setting that takes a string, and some that do not, with a value that fits none of them.
    let places = [
        "listen.address",
        "listen.hosts",
        "listen.origins",
        "listen.tls",
        "clients.a.token",
        "servers.a.command",
        "servers.a.env.X",
        "servers.a.pass_env",
        "servers.a.cwd",
        "servers.a.url",
        "servers.a.headers.X",
        "servers.a.transport",
        "servers.a.era",
        "servers.a.share",
        "servers.a.timeout",
        "servers.a.timeout_max",
        "servers.a.concurrency_max",
        "limits.request_bytes_max",
        "limits.depth_max",
        "limits.head_timeout",
        "record.durability",
        "log.format",
        "log.level",
        "nothing",
    ];
    for place in places {
        for value in [
            r#""${S}""#,
            r#"["${S}"]"#,
            r#"{ x = "${S}" }"#,
            r#""ftp://${S}@""#,
        ] {
            let text = format!("{place} = {value}\n");
            let read = parse(&text, FilePath::new("."), &environment, None, |_, _| {
                Vec::new()
            });
            let mistakes = Mistakes::new("f".to_owned(), read.shown, read.list);
            let entries = serde_json::to_string(&mistakes.entries()).unwrap();
            let shown = format!("{}{entries}", mistakes.draw(100, false));
            assert!(!shown.contains("hunter2"), "{text}{shown}");
        }
    }
}

#[test]
fn a_secret_that_the_file_spells_out_is_not_shown() {
    for text in [
        "clients.a.token = \"hunter2\"\n",
        "[servers.a]\nurl = \"x\"\nheaders = { \"bad name\" = \"hunter2\" }\n",
        "[servers.a]\ncommand = [\"a\"]\nenv = { \"A=B\" = \"hunter2\" }\n",
        "clients.a = \"hunter2\"\n",
        "[servers.a]\nurl = \"https://a.example/\"\nbearer_token = \"hunter2\"\n",
        "[servers.a]\nurl = \"https://a:hunter2@a.example/\"\n",
        "[servers.a]\nurl = \"https://a:hunter2@:/\"\n",
        "[clients.a]\ntoken = hunter2\n",
        "[clients.a]\ntoken = \"hunter2\n",
        "[clients.a]\ntoken = 'hunter2\n[servers",
        "[servers.a]\nenv = { A = \"hunter2\" B = 1 }\n",
        "[servers.a.env]\nA = hunter2\n",
        "[servers.a.env]\nA = \"\"\"\nhunter2",
    ] {
        let read = read(text);
        assert!(!read.list.is_empty(), "{text}");
        let shown = Mistakes::new("f".to_owned(), read.shown, read.list).draw(100, false);
        assert!(!shown.contains("hunter2"), "{text}{shown}");
    }
}

#[test]
fn an_unreadable_value_does_not_hide_the_next() {
    let text =
        "listen.address = 'x'\nlimits.depth_max = 18446744073709551616\n[servers.a]\nera = 'x'";
    let codes: Vec<_> = read(text)
        .list
        .into_iter()
        .map(|m| (m.code, m.span.start))
        .collect();
    assert!(codes.contains(&("bad-value", 17)), "{codes:?}");
    assert!(codes.contains(&("bad-value", 40)), "{codes:?}");
    assert!(codes.contains(&("bad-value", 79)), "{codes:?}");
    assert!(codes.contains(&("missing-key", 70)), "{codes:?}");
}

/// No bytes make the loader panic, and what it accepts it has no error for.
#[test]
fn any_cut_or_changed_file_is_answered() {
    let good = include_str!("../../../../../examples/team.toml");
    let environment = Environment::default();
    for at in (0..good.len()).step_by(3) {
        let Some((before, after)) = good.split_at_checked(at) else {
            continue;
        };
        let mut rest = after.chars();
        rest.next();
        for text in [
            before.to_owned(),
            format!("{before}\"{}", rest.as_str()),
            format!("{before}[{after}"),
        ] {
            let read = parse(&text, FilePath::new("."), &environment, None, |_, _| {
                Vec::new()
            });
            let mistakes = Mistakes::new("f".to_owned(), read.shown, read.list);
            assert!(read.config.is_some() || mistakes.refuse(), "{text}");
            if at % 4 == 0 {
                mistakes.draw(100, false);
            }
        }
    }
}
