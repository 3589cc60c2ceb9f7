//! What every test needs: a server's settings, a client's declarations, and patience with an end.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_egress::{Allowance, Egress, Settings};
use portcullis_mcp::{Object, Outcome};
use portcullis_proxy::config::{EraSetting, Limits, Server};
use portcullis_proxy::upstream::{
    Answer, Call, Connection, Event, Exchange, Grants, Local, Profile, Spec, Unsolicited, Upstream,
    UpstreamError,
};
use portcullis_sandbox::{Confinement, Sandbox, Tier};
use tokio::sync::mpsc;

/// Longer than anything here takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The largest message accepted from a server in these tests.
pub(crate) const BYTES_MAX: usize = 128 * 1024;

/// `future`, unless it hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("not to hang")
}

fn example() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/upstream_peer");
    assert!(
        path.exists(),
        "no example `upstream_peer`; run `cargo test` without naming a target, or build the examples"
    );
    path
}

pub(crate) fn server() -> Server {
    Server {
        command: Vec::new(),
        env: std::collections::BTreeMap::new(),
        pass_env: Vec::new(),
        cwd: None,
        sandbox: portcullis_proxy::config::sandbox::Sandbox::default(),
        url: None,
        headers: std::collections::BTreeMap::new(),
        auth: None,
        transport: portcullis_proxy::config::HttpTransport::Auto,
        era: EraSetting::Auto,
        share: portcullis_proxy::config::Share::Session,
        timeout: "20s".parse().unwrap(),
        timeout_max: "40s".parse().unwrap(),
        probe_timeout: "20s".parse().unwrap(),
        concurrency_max: 256,
    }
}

/// An upstream whose settings `edit` completes.
pub(crate) fn upstream(edit: impl FnOnce(&mut Server)) -> Arc<Upstream> {
    let mut server = server();
    edit(&mut server);
    let limits = Limits {
        response_bytes_max: "128KiB".parse().unwrap(),
        ..Limits::default()
    };
    // The peers talk to the test; what confinement does is tested with real servers.
    let grants = Grants {
        confinement: Confinement::new(Tier::Off),
        allowance: Allowance::default(),
        preparation: None,
    };
    let name = "peer".parse().unwrap();
    let spec = Spec::build(name, &server, Some(&grants), &limits, |_| None).unwrap();
    let egress = Egress::new(&Settings::default()).unwrap();
    let sandbox = Sandbox::new(vec![example().into_os_string(), "__guard".into()]);
    let local = Local {
        sandbox,
        egress,
        now_ms: || 0,
        record: Arc::new(|_| ()),
    };
    Upstream::new(spec, local)
}

/// An upstream that is the example program in the given mode.
pub(crate) fn local(mode: &str, edit: impl FnOnce(&mut Server)) -> Arc<Upstream> {
    upstream(|server| {
        let program = example().into_os_string().into_string().unwrap();
        server.command = vec![program, "serve".into(), mode.into()];
        edit(server);
    })
}

pub(crate) fn profile() -> Arc<Profile> {
    Arc::new(Profile {
        version: None,
        capabilities: Bytes::from_static(br#"{"roots":{}}"#),
        client_info: Bytes::from_static(br#"{"name":"test","version":"1"}"#),
        log_level: None,
    })
}

/// A connection and its inbox.
pub(crate) type Connected = (Arc<Connection>, mpsc::Receiver<Unsolicited>);

pub(crate) async fn try_connect(upstream: &Arc<Upstream>) -> Result<Connected, UpstreamError> {
    let (inbox, received) = mpsc::channel(64);
    let connection = soon(upstream.connect(profile(), None, inbox)).await?;
    Ok((connection, received))
}

pub(crate) async fn connect(upstream: &Arc<Upstream>) -> Connected {
    try_connect(upstream).await.expect("a connection")
}

pub(crate) fn call(method: &str) -> Call {
    Call {
        method: method.into(),
        params: None,
        profile: profile(),
        progress: false,
        name_header: None,
        param_headers: Vec::new(),
        long_lived: false,
    }
}

pub(crate) async fn start(connection: &Connection, call: Call) -> Exchange {
    soon(connection.exchange(call)).await.expect("an exchange")
}

/// All events up to the answer, and the answer.
pub(crate) async fn run(mut exchange: Exchange) -> (Vec<Event>, Result<Answer, UpstreamError>) {
    let mut events = Vec::new();
    loop {
        match soon(exchange.next()).await {
            Event::Done(result) => return (events, result),
            event => events.push(event),
        }
    }
}

/// The answer to `call`.
pub(crate) async fn ask(connection: &Connection, call: Call) -> Result<Answer, UpstreamError> {
    run(soon(connection.exchange(call)).await?).await.1
}

#[track_caller]
pub(crate) fn result(answer: Result<Answer, UpstreamError>) -> String {
    match answer.expect("an answer").outcome {
        Outcome::Result(raw) => String::from_utf8(raw.to_vec()).unwrap(),
        Outcome::Error(error) => panic!("{error:?}"),
    }
}

#[track_caller]
pub(crate) fn error_code(answer: Result<Answer, UpstreamError>) -> i64 {
    match answer.expect("an answer").outcome {
        Outcome::Error(error) => error.code,
        Outcome::Result(raw) => panic!("{raw:?}"),
    }
}

/// The raw value at `path` in `json`; empty where there is none.
pub(crate) fn at(json: &[u8], path: &[&str]) -> String {
    let mut value = json.to_vec();
    for key in path {
        let found = Object::parse(&value).and_then(|object| Some(object.get(key)?.to_vec()));
        value = found.unwrap_or_default();
    }
    String::from_utf8(value).unwrap()
}

/// The next notification in the inbox with the method `wanted`.
pub(crate) async fn notified(
    inbox: &mut mpsc::Receiver<Unsolicited>,
    wanted: &str,
) -> Option<Bytes> {
    loop {
        match soon(inbox.recv()).await.expect("an open inbox") {
            Unsolicited::Notification { method, params } if &*method == wanted => return params,
            Unsolicited::Notification { .. } | Unsolicited::Ask(..) => {}
            Unsolicited::Closed => panic!("closed before `{wanted}`"),
        }
    }
}
