use super::*;

fn server(edit: impl FnOnce(&mut Server)) -> Server {
    let mut server = Server {
        command: Vec::new(),
        env: std::collections::BTreeMap::new(),
        pass_env: Vec::new(),
        cwd: None,
        sandbox: Sandbox::default(),
        url: None,
        headers: std::collections::BTreeMap::new(),
        auth: None,
        transport: HttpTransport::Auto,
        era: EraSetting::Auto,
        share: crate::config::Share::Session,
        timeout: crate::units::Duration::from_secs(60),
        timeout_max: crate::units::Duration::from_secs(600),
        probe_timeout: crate::units::Duration::from_secs(10),
        concurrency_max: 1,
    };
    edit(&mut server);
    server
}

fn build(edit: impl FnOnce(&mut Server)) -> Result<Spec, InvalidServer> {
    let environment = |key: &str| match key {
        "PATH" => Some("/bin".to_owned()),
        "TOKEN" => Some("secret".to_owned()),
        "OTHER" => Some("other".to_owned()),
        _ => None,
    };
    let grants = Grants {
        confinement: Confinement::default(),
        allowance: Allowance::default(),
        preparation: None,
    };
    let server = server(edit);
    let name = "files".parse().unwrap();
    let limits = Limits::default();
    Spec::build(name, &server, Some(&grants), &limits, environment)
}

#[test]
fn a_local_server_that_nobody_granted_anything_is_none() {
    let server = server(|server| server.command = vec!["run".into()]);
    let name = "files".parse().unwrap();
    let built = Spec::build(name, &server, None, &Limits::default(), |_| None);
    assert_eq!(built.unwrap_err(), InvalidServer::NoGrants);
}

#[test]
fn a_local_server_sees_only_what_it_is_given() {
    let spec = build(|server| {
        server.command = vec!["run".into(), "-x".into()];
        server.pass_env = vec!["TOKEN".into(), "MISSING".into()];
        server.env.insert("A".into(), "1".into());
    })
    .unwrap();
    let Transport::Stdio(command, _) = spec.transport else {
        panic!("a command")
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        command.env,
        [
            pair("PATH", "/bin"),
            pair("TOKEN", "secret"),
            pair("A", "1")
        ]
    );
    assert_eq!(
        (command.program.as_str(), command.args),
        ("run", vec!["-x".to_owned()])
    );
}

#[track_caller]
fn check_refused(edit: impl FnOnce(&mut Server), expected: &InvalidServer) {
    assert_eq!(build(edit).as_ref().unwrap_err(), expected);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    check_refused(|_| {}, &InvalidServer::Transport);
    for url in [
        "nowhere",
        "ftp://host/",
        "file:///etc/passwd",
        "http://user@host/",
        "http://user:word@host/",
        "http://host/#part",
    ] {
        check_refused(|server| server.url = Some(url.into()), &InvalidServer::Url);
    }
    for header in [
        "Accept",
        "Host",
        "MCP-Protocol-Version",
        "mcp-session-id",
        "Content-Length",
    ] {
        check_refused(
            |server| {
                server.url = Some("http://127.0.0.1/mcp".into());
                server.headers.insert(header.into(), "x".into());
            },
            &InvalidServer::HeaderReserved(header.into()),
        );
    }
    check_refused(
        |server| {
            server.url = Some("http://127.0.0.1/mcp".into());
            server.headers.insert("x".into(), "a\r\nb: c".into());
        },
        &InvalidServer::HeaderValue("x".into()),
    );
    check_refused(
        |server| {
            server.command = vec!["a".into()];
            server.concurrency_max = 0;
        },
        &InvalidServer::Zero("concurrency_max"),
    );
}

#[test]
fn no_secret_is_shown() {
    let spec = build(|server| {
        server.url = Some("https://host.example/mcp?key=hidden".into());
        server
            .headers
            .insert("Authorization".into(), "Bearer hidden".into());
    })
    .unwrap();
    assert!(!format!("{spec:?}").contains("hidden"));
}
