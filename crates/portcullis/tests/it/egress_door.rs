//! The way out of confined servers, through the gateway itself: what the operator lists is reached, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use portcullis_testkit::Launch;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::gateway::{BOUND, Gateway, Modern, eventually};
use crate::hostile::{BARE, CONFINED, entry, has_python, python, written};
use crate::oauth_peers::{Names, Web, plain};

/// A gateway whose one server may reach what `settings` say.
pub(crate) async fn start(names: &Names, settings: &str) -> (Gateway, Modern) {
    let config = format!("{}{CONFINED}{}", names.table(), entry("one", settings));
    let gateway = Gateway::start(&config).await;
    let client = Modern::at(&gateway.one("one"));
    (gateway, client)
}

/// A rule for what is on this machine.
pub(crate) fn private(host: &str) -> String {
    format!("egress = [{{ host = \"{host}\", private = true }}]")
}

/// A web server that says `canary`.
pub(crate) async fn web() -> Web {
    let web = Web::start().await;
    web.answer(|_| plain(200, "canary"));
    web
}

/// Asks as most programs do: by the proxy that they are told of.
pub(crate) fn get(url: &str) -> String {
    format!(
        "import urllib.request, urllib.error\n\
         try: print(urllib.request.urlopen('{url}', timeout=20).read())\n\
         except urllib.error.HTTPError as e: print(e.code, e.read())\n\
         except OSError as e: print(e)"
    )
}

/// Asks as a program does that knows of no proxy.
pub(crate) fn direct(host: &str, port: u16) -> String {
    format!(
        "import socket\n\
         try:\n\
         \x20 s = socket.create_connection(('{host}', {port}), 20)\n\
         \x20 s.sendall(b'GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n')\n\
         \x20 print(s.makefile('rb').read())\n\
         except OSError as e: print(e)"
    )
}

/// The record of what was reached, once it is as `fits` says; the newest comes first.
pub(crate) async fn connections(gateway: &Gateway, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..200 {
        let config = gateway.place.path().join("portcullis.toml");
        let mut harness = Launch::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["connections", "--json", "--limit", "100000", "--config"])
            .args([config])
            .env("HOME", gateway.place.path())
            .start_silent()
            .unwrap();
        let line = harness.line_with("\"connections\"", BOUND).await.unwrap();
        harness.wait(BOUND).await.unwrap();
        let mut value: Value = serde_json::from_str(&line).unwrap();
        found = match value["connections"].take() {
            Value::Array(found) => found,
            other => panic!("{other}"),
        };
        if fits(&found) {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{found:#?}")
}

/// Whether a connection to `host` for a call of `tool` became `verdict`.
pub(crate) fn became(found: &[Value], tool: &str, host: &str, verdict: &str) -> bool {
    found.iter().any(|row| {
        row["server"] == "one"
            && row["tool"] == tool
            && row["host"] == host
            && row["verdict"] == verdict
            && (verdict != "allowed"
                || row["bytes_in"].as_u64() > Some(6) && row["bytes_out"].as_u64() > Some(6))
    })
}

#[tokio::test]
async fn a_listed_host_is_reached_and_no_other() {
    if !has_python() {
        return;
    }
    let (names, allowed, other) = (Names::start().await, web().await, web().await);
    for name in ["allowed.test", "other.test"] {
        names.set(name, &[&["127.0.0.1"]]);
    }
    let port = allowed.address.port();
    let rule = private(&format!("http://allowed.test:{port}"));
    let (gateway, client) = start(&names, &rule).await;
    let url = |host: &str, port: u16| get(&format!("http://{host}:{port}/"));
    let said = python(&client, "fetch", &url("allowed.test", port)).await;
    assert_eq!(said, "exit code 0\nb'canary'\n");
    for (host, port) in [
        ("other.test", port),
        ("127.0.0.1", port),
        ("localhost", port),
        ("allowed.test", other.address.port()),
        ("127.0.0.1", other.address.port()),
    ] {
        let said = python(&client, "run", &url(host, port)).await;
        assert!(said.starts_with("exit code 0\n403 "), "{host}: {said}");
        assert!(said.contains("portcullis"), "{host}: {said}");
        let said = python(&client, "run", &direct(host, port)).await;
        assert!(!said.contains("canary"), "{host}: {said}");
    }
    assert_eq!((allowed.knocks().await, other.knocks().await), (1, 0));
    let found = connections(&gateway, |found| {
        became(found, "fetch", "allowed.test", "allowed")
            && became(found, "run", "other.test", "denied")
            && became(found, "run", "127.0.0.1", "denied")
            && became(found, "run", "localhost", "denied")
    })
    .await;
    let is_allowed = |row: &&Value| row["verdict"] == "allowed" && row["kind"] != "lookup";
    assert_eq!(found.iter().filter(is_allowed).count(), 1, "{found:#?}");
}

#[tokio::test]
async fn without_a_rule_there_is_no_network_and_without_a_sandbox_all_of_it() {
    if !has_python() {
        return;
    }
    let (names, web) = (Names::start().await, web().await);
    let port = web.address.port();
    for (settings, reached) in [("", 0), ("hosts = []", 0), (BARE, 2)] {
        let (_gateway, client) = start(&names, settings).await;
        let before = web.knocks().await;
        python(&client, "run", &get(&web.base())).await;
        python(&client, "run", &direct("127.0.0.1", port)).await;
        assert_eq!(web.knocks().await - before, reached, "{settings}");
    }
}

/// Answers one request by `canary`.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ncanary";
    if stream.read(&mut [0; 4096]).await? > 0 {
        stream.write_all(answer).await?;
    }
    stream.shutdown().await
}

/// Answers every request over TLS.
async fn serve_tls(listener: TcpListener, config: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(config);
    while let Ok((tcp, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move { say(acceptor.accept(tcp).await?).await });
    }
}

/// A server of TLS for these names, whose certificate is in `file`.
async fn tls(address: SocketAddr, names: &[&str], file: &Path) -> SocketAddr {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_tls(listener, Arc::new(config)));
    address
}

/// Speaks TLS to `name`, over a connection to `host` that knows of no proxy.
fn direct_tls(host: &str, name: &str, port: u16, file: &Path) -> String {
    format!(
        "import socket, ssl\n\
         try:\n\
         \x20 context = ssl.create_default_context(cafile='{}')\n\
         \x20 s = context.wrap_socket(socket.create_connection(('{host}', {port}), 20), server_hostname='{name}')\n\
         \x20 s.sendall(b'GET / HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n')\n\
         \x20 print(s.makefile('rb').read())\n\
         except OSError as e: print(e)",
        file.display()
    )
}

#[tokio::test]
async fn tls_reaches_the_host_that_it_names() {
    if !has_python() {
        return;
    }
    let granted = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = granted.path().join("authority.pem");
    let names = Names::start().await;
    for name in ["allowed.test", "other.test"] {
        names.set(name, &[&["127.0.0.1"]]);
    }
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let port = tls(any, &["allowed.test", "other.test"], &file)
        .await
        .port();
    let settings = format!(
        "read = [\"{}\"], {}",
        granted.path().display(),
        private(&format!("allowed.test:{port}"))
    );
    let (gateway, client) = start(&names, &settings).await;
    let ask = |name: &str| {
        format!(
            "import ssl, urllib.request, urllib.error\n\
             context = ssl.create_default_context(cafile='{}')\n\
             try: print(urllib.request.urlopen('https://{name}:{port}/', timeout=20, context=context).read())\n\
             except OSError as e: print(e)",
            file.display()
        )
    };
    let said = python(&client, "run", &ask("allowed.test")).await;
    assert_eq!(said, "exit code 0\nb'canary'\n");
    let said = python(&client, "run", &ask("other.test")).await;
    assert!(said.contains("403"), "{said}");
    // A tunnel to the listed host, and another name in it.
    let front = format!(
        "import os, socket, ssl, urllib.parse\n\
         proxy = urllib.parse.urlsplit(os.environ.get('https_proxy') or os.environ['HTTPS_PROXY'])\n\
         s = socket.create_connection((proxy.hostname, proxy.port), 20)\n\
         s.sendall(b'CONNECT allowed.test:{port} HTTP/1.1\\r\\nHost: allowed.test:{port}\\r\\n\\r\\n')\n\
         print(s.recv(4096)[:12])\n\
         try:\n\
         \x20 context = ssl.create_default_context(cafile='{}')\n\
         \x20 s = context.wrap_socket(s, server_hostname='other.test')\n\
         \x20 s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(s.recv(4096))\n\
         except OSError as e: print(e)",
        file.display()
    );
    let said = python(&client, "run", &front).await;
    assert!(
        said.contains("HTTP/1.1 200") && !said.contains("canary"),
        "{said}"
    );
    let found = connections(&gateway, |found| {
        became(found, "run", "allowed.test", "allowed")
            && became(found, "run", "other.test", "denied")
            && became(found, "run", "allowed.test", "denied")
    })
    .await;
    assert!(found.iter().all(|row| row["server"] == "one"), "{found:#?}");
}

/// What knows of no proxy is caught at the usual ports, which take a listener there.
#[tokio::test]
async fn a_program_that_ignores_the_proxy_is_held_to_the_same() {
    if !has_python() || !rustix::process::geteuid().is_root() {
        return;
    }
    let granted = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = granted.path().join("authority.pem");
    // One's own address of the loopback, so that the ports are free.
    let [high, low] = [std::process::id() >> 8, std::process::id()].map(|id| id.to_le_bytes()[0]);
    let here = Ipv4Addr::new(127, 90, high, low);
    let all = ["allowed.test", "other.test"];
    let secure = tls((here, 443).into(), &all, &file).await;
    let listener = TcpListener::bind((here, 80)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            say(stream).await.ok();
        }
    });
    let names = Names::start().await;
    let address = here.to_string();
    for name in all {
        names.set(name, &[&[address.as_str()]]);
    }
    let settings = format!(
        "read = [\"{}\"], egress = [{{ host = \"http://allowed.test\", private = true }}, \
         {{ host = \"allowed.test\", private = true }}]",
        granted.path().display()
    );
    let (gateway, client) = start(&names, &settings).await;
    assert_eq!(secure.port(), 443);
    let mut reached = Vec::new();
    for (code, is_reached) in [
        (direct("allowed.test", 80), true),
        (direct("other.test", 80), false),
        (direct(&address, 80), false),
        (direct("127.0.0.1", 80), false),
        (direct_tls("allowed.test", "allowed.test", 443, &file), true),
        (direct_tls("other.test", "other.test", 443, &file), false),
        (direct_tls("allowed.test", "other.test", 443, &file), false),
        // There it is the name that counts: the gateway looks it up itself, and dials no address of the server's.
        (direct_tls("192.0.2.1", "allowed.test", 443, &file), false),
        (direct_tls("127.0.0.1", "allowed.test", 443, &file), true),
        (direct_tls("127.0.0.1", "other.test", 443, &file), false),
    ] {
        let said = python(&client, "run", &code).await;
        if said.contains("canary") != is_reached {
            reached.push((code, said));
        }
    }
    assert!(reached.is_empty(), "{reached:#?}");
    let found = connections(&gateway, |found| {
        let of = |kind: &str| {
            let is = |row: &&Value| row["kind"] == kind && row["verdict"] == "allowed";
            found.iter().filter(is).count()
        };
        of("captured-request") == 1 && of("captured-tls") == 2
    })
    .await;
    assert!(became(&found, "run", "other.test", "denied"), "{found:#?}");
}

#[tokio::test]
async fn a_rule_of_a_tool_counts_while_it_is_called() {
    if !has_python() {
        return;
    }
    let granted = tempfile::tempdir_in("/var/tmp").unwrap();
    let (names, web) = (Names::start().await, web().await);
    names.set("allowed.test", &[&["127.0.0.1"]]);
    let url = format!("http://allowed.test:{}/", web.address.port());
    let settings = format!(
        "write = [\"{}\"], egress = [{{ host = \"{}\", private = true, tools = [\"fetch\"] }}]",
        granted.path().display(),
        url.trim_end_matches('/')
    );
    let (gateway, client) = start(&names, &settings).await;
    let said = python(&client, "run", &get(&url)).await;
    assert!(said.starts_with("exit code 0\n403 "), "{said}");
    let said = python(&client, "fetch", &get(&url)).await;
    assert_eq!(said, "exit code 0\nb'canary'\n");
    // What a call leaves behind asks once the call is over.
    let at = |name: &str| granted.path().join(name);
    let daemon = format!(
        "import os, time\n\
         if os.fork(): os._exit(0)\n\
         os.setsid()\n\
         null = os.open('/dev/null', os.O_RDWR)\n\
         [os.dup2(null, fd) for fd in (0, 1, 2)]\n\
         while not os.path.exists('{}'): time.sleep(0.05)\n\
         import urllib.request, urllib.error\n\
         try: said = str(urllib.request.urlopen('{url}', timeout=20).read())\n\
         except OSError as e: said = str(e)\n\
         open('{}', 'w').write(said + '\\n')",
        at("go").display(),
        at("said").display()
    );
    let said = python(&client, "fetch", &daemon).await;
    assert_eq!(said, "exit code 0\n");
    std::fs::write(at("go"), "").unwrap();
    let said = written(&at("said")).await;
    assert!(said.contains("403"), "{said}");
    assert_eq!(web.knocks().await, 1);
    connections(&gateway, |found| {
        let nobody = |row: &Value| row["tool"].is_null() && row["verdict"] == "denied";
        became(found, "fetch", "allowed.test", "allowed")
            && became(found, "run", "allowed.test", "denied")
            && found.iter().any(nobody)
    })
    .await;
}

#[tokio::test]
async fn two_servers_have_each_their_own_way_out() {
    if !has_python() {
        return;
    }
    let (names, web) = (Names::start().await, web().await);
    let port = web.address.port();
    let mut config = format!("{}{CONFINED}", names.table());
    for server in ["one", "two"] {
        names.set(&format!("{server}.test"), &[&["127.0.0.1"]]);
        config += &entry(server, &private(&format!("http://{server}.test:{port}")));
    }
    let gateway = Gateway::start(&config).await;
    for (server, host, is_reached) in [
        ("one", "one", true),
        ("one", "two", false),
        ("two", "two", true),
        ("two", "one", false),
    ] {
        let client = Modern::at(&gateway.one(server));
        let said = python(&client, "run", &get(&format!("http://{host}.test:{port}/"))).await;
        assert_eq!(said.contains("canary"), is_reached, "{server}: {said}");
    }
    assert_eq!(web.knocks().await, 2);
}

#[tokio::test]
async fn a_reload_takes_a_host_away() {
    if !has_python() {
        return;
    }
    let (names, web) = (Names::start().await, web().await);
    names.set("allowed.test", &[&["127.0.0.1"]]);
    names.set("other.test", &[&["127.0.0.1"]]);
    let port = web.address.port();
    let with = |host: &str| {
        let rule = private(&format!("http://{host}:{port}"));
        format!("{}{CONFINED}{}", names.table(), entry("one", &rule))
    };
    let gateway = Gateway::start(&with("allowed.test")).await;
    let client = Modern::at(&gateway.one("one"));
    let url = |host: &str| get(&format!("http://{host}:{port}/"));
    let said = python(&client, "run", &url("allowed.test")).await;
    assert_eq!(said, "exit code 0\nb'canary'\n");
    let reloads = || gateway.output().matches(" reloaded ").count();
    for (round, (config, allowed)) in [
        (with("other.test"), "other.test"),
        (with("allowed.test"), "allowed.test"),
        (
            format!("{}{CONFINED}{}", names.table(), entry("one", "")),
            "",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.configure(&config);
        eventually("the reload", || reloads() > round).await;
        for host in ["allowed.test", "other.test"] {
            let said = python(&client, "run", &url(host)).await;
            assert_eq!(said.contains("canary"), host == allowed, "{host}: {said}");
        }
    }
}
