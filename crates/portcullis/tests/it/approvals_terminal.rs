//! `wrap` asks at the terminal where the client can show nothing: with a pseudo-terminal that is the controlling one.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use portcullis_testkit::Launch;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::approvals::{POLICY, call, denial, words, yes};
use crate::gateway::{eventually, text};
use crate::scripted::{Call, Script, Scripted};
use crate::support::{BOUND, PROGRAM};

/// Reads what `reader` gives, for ever.
fn collect(mut reader: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // The master of a terminal that nobody has open any more fails.
        while let Ok(length @ 1..) = reader.read(&mut bytes) {
            let new = String::from_utf8_lossy(&bytes[..length]).into_owned();
            written.lock().unwrap().push_str(&new);
        }
    });
    text
}

/// `portcullis wrap` with a terminal of its own, and a client at its pipes.
struct Wrapped {
    child: Child,
    input: File,
    output: Arc<Mutex<String>>,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    server: Scripted,
    place: TempDir,
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn terminal() -> (File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(name.to_str().unwrap());
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    (File::from(master), slave)
}

impl Wrapped {
    /// Starts it for a legacy client with these capabilities, which has been introduced.
    async fn start(arguments: &[&str], capabilities: Value) -> Self {
        let server = Script::of(false)
            .tools(&["echo", "work", "free"])
            .on("tools/call", |call: Call| async move {
                let said = call.params()["arguments"].to_string();
                call.result(json!({ "content": [{ "type": "text", "text": said }] }));
            })
            .start()
            .await;
        let place = tempfile::tempdir().unwrap();
        let policy = place.path().join("own.cedar");
        std::fs::write(&policy, POLICY).unwrap();
        let pipe = place.path().join("input");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let (master, slave) = terminal();
        #[expect(
            clippy::disallowed_methods,
            reason = "the program under test is no local server"
        )]
        let mut command = Command::new("/usr/bin/setsid");
        // The terminal becomes the controlling one by being standard input; the client is at a pipe.
        let script = "input=$1; shift; exec \"$@\" <\"$input\"";
        command
            .args(["--ctty", "/bin/sh", "-c", script, "sh"])
            .arg(&pipe)
            .args([
                PROGRAM,
                "wrap",
                "--name",
                "one",
                "--preset",
                "none",
                "--unconfined",
                "it talks to the test",
                "--policies",
            ])
            .arg(&policy)
            .arg("--state-dir")
            .arg(place.path().join("state"))
            .args(arguments)
            .arg("--")
            .args(server.command())
            .env_clear()
            .env("HOME", place.path())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::from(slave))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = collect(child.stdout.take().unwrap());
        collect(child.stderr.take().unwrap());
        let screen = collect(master.try_clone().unwrap());
        let input = tokio::task::spawn_blocking(move || {
            std::fs::OpenOptions::new().write(true).open(pipe).unwrap()
        });
        let mut wrapped = Self {
            child,
            input: input.await.unwrap(),
            output,
            keyboard: master,
            screen,
            server,
            place,
        };
        wrapped.send(
            &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        } }),
        );
        wrapped.response(1).await;
        wrapped.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        wrapped
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }

    fn call(&mut self, id: u64, arguments: &Value) {
        let params = call("echo", arguments);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits until there have been so many questions on the screen.
    async fn asked(&self, count: usize) -> String {
        eventually("the question", || {
            self.screen().matches("[y/N] ").count() >= count
        })
        .await;
        self.screen()
    }

    /// The first message that fits, once it has come.
    async fn message(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually("the message", || {
            let output = self.output.lock().unwrap().clone();
            let messages = output
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            found = messages.into_iter().find(|message: &Value| fits(message));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn response(&self, id: u64) -> Value {
        let is_it = |message: &Value| message["id"] == id && message.get("method").is_none();
        self.message(is_it).await
    }

    fn reached(&self) -> usize {
        self.server.seen("tools/call").len()
    }
}

#[tokio::test]
async fn whoever_sits_at_the_terminal_says_yes_or_no() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    wrapped.call(2, &words("a"));
    let screen = wrapped.asked(1).await;
    for shown in ["`echo` of `one`", "\"text\": \"a\"", "it is said aloud"] {
        assert!(screen.contains(shown), "{shown}: {screen}");
    }
    assert_eq!(wrapped.reached(), 0);
    wrapped.type_in("y\n");
    assert_eq!(text(&wrapped.response(2).await), r#"{"text":"a"}"#);
    // The default is no; so is anything that is no yes.
    for (id, keys) in [(3, "\n"), (4, "n\n"), (5, "yy\n"), (6, "\u{4}")] {
        wrapped.call(id, &words(&id.to_string()));
        wrapped.asked(usize::try_from(id).unwrap() - 1).await;
        wrapped.type_in(keys);
        assert_eq!(
            denial(&wrapped.response(id).await),
            "approval-denied",
            "{keys:?}"
        );
    }
    assert_eq!(wrapped.reached(), 1);
}

#[tokio::test]
async fn what_was_typed_before_the_question_is_no_answer() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    wrapped.type_in("y\ny\n");
    eventually("the echo", || wrapped.screen().matches('y').count() >= 2).await;
    wrapped.call(2, &words("a"));
    wrapped.asked(1).await;
    wrapped.type_in("no\n");
    assert_eq!(denial(&wrapped.response(2).await), "approval-denied");
    assert_eq!(wrapped.reached(), 0);
}

#[tokio::test]
async fn nothing_in_the_arguments_moves_the_cursor() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    let before = wrapped.screen();
    let nasty = "\u{1b}[2J\u{1b}[H\r\u{8}\u{9b}2J\u{7}\u{202e}\n\nMay this very call be made, once? [y/N] y\n";
    wrapped.call(2, &json!({ "text": nasty, "\u{1b}]0;x\u{7}": 1 }));
    let screen = wrapped.asked(2).await;
    let shown = screen.strip_prefix(&before).unwrap();
    let hidden = |c: &char| !matches!(c, ' '..='~' | '\r' | '\n');
    assert_eq!(shown.chars().find(hidden), None, "{shown:?}");
    // What pretends to be the end stands in a line of its own argument.
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("[y/N]"))
        .collect();
    assert!(lines[0].contains("\\n\\nMay this very call"), "{lines:?}");
    assert!(lines[1].starts_with("May this very call"), "{lines:?}");
    wrapped.type_in("\n");
    assert_eq!(denial(&wrapped.response(2).await), "approval-denied");
}

#[tokio::test]
async fn one_is_asked_at_a_time() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    wrapped.call(2, &words("first"));
    wrapped.asked(1).await;
    wrapped.call(3, &words("second"));
    wrapped.send(&json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/list" }));
    wrapped.response(4).await;
    assert!(!wrapped.screen().contains("second"), "{}", wrapped.screen());
    wrapped.type_in("y\n");
    assert_eq!(text(&wrapped.response(2).await), r#"{"text":"first"}"#);
    let screen = wrapped.asked(2).await;
    assert!(screen.contains("second"), "{screen}");
    wrapped.type_in("n\n");
    assert_eq!(denial(&wrapped.response(3).await), "approval-denied");
    assert_eq!(wrapped.reached(), 1);
}

#[tokio::test]
async fn a_client_that_shows_forms_is_asked_before_the_terminal() {
    let form = json!({ "elicitation": {} });
    let mut wrapped = Wrapped::start(&[], form.clone()).await;
    wrapped.call(2, &words("a"));
    let asked = wrapped
        .message(|message| message["method"] == "elicitation/create")
        .await;
    wrapped.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": yes() }));
    assert_eq!(text(&wrapped.response(2).await), r#"{"text":"a"}"#);
    assert!(!wrapped.screen().contains("[y/N]"));

    let mut wrapped = Wrapped::start(&["--ask", "terminal"], form.clone()).await;
    wrapped.call(2, &words("a"));
    wrapped.asked(1).await;
    wrapped.type_in("yes\n");
    assert_eq!(text(&wrapped.response(2).await), r#"{"text":"a"}"#);

    let mut wrapped = Wrapped::start(&["--ask", "never"], form).await;
    wrapped.call(2, &words("a"));
    assert_eq!(denial(&wrapped.response(2).await), "approval-required");
    assert!(!wrapped.screen().contains("[y/N]"));
    assert_eq!(wrapped.reached(), 0);
}

/// Runs `portcullis approvals` beside a gateway; what it printed.
async fn approvals(place: &Path, words: &[&str]) -> String {
    let launch = Launch::new(PROGRAM).args(["approvals", "--state-dir"]);
    let launch = launch.args([place.join("state")]).args(words);
    let mut command = launch.env("HOME", place).start_silent().unwrap();
    command.wait(BOUND).await.unwrap();
    // The last lines may still be on their way when the process is gone.
    drop(command.line_with("\u{0}", BOUND).await);
    command.output()
}

/// A client with a screen of its own, in whose terminal the gateway runs.
#[tokio::test]
async fn nobody_is_asked_at_a_terminal_that_another_program_uses() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    let mut modes = tcgetattr(&wrapped.keyboard).unwrap();
    modes.make_raw();
    tcsetattr(&wrapped.keyboard, OptionalActions::Now, &modes).unwrap();
    wrapped.call(2, &words("a"));
    let id = loop {
        let listed = approvals(wrapped.place.path(), &["list", "--json"]).await;
        let listed: Value = serde_json::from_str(listed.trim()).unwrap();
        if let Some(id) = listed["approvals"][0]["id"].as_str() {
            break id.to_owned();
        }
    };
    wrapped.type_in("y\r\n");
    let said = approvals(wrapped.place.path(), &["deny", &id]).await;
    assert!(said.contains("is refused"), "{said}");
    assert_eq!(denial(&wrapped.response(2).await), "approval-denied");
    assert!(!wrapped.screen().contains("echo"), "{}", wrapped.screen());
    assert_eq!(wrapped.reached(), 0);
}

#[tokio::test]
async fn a_question_that_was_answered_elsewhere_is_taken_back() {
    let mut wrapped = Wrapped::start(&[], json!({})).await;
    wrapped.call(2, &words("a"));
    wrapped.asked(1).await;
    let listed = approvals(wrapped.place.path(), &["list", "--json"]).await;
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    let id = listed["approvals"][0]["id"].as_str().unwrap();
    approvals(wrapped.place.path(), &["deny", id]).await;
    assert_eq!(denial(&wrapped.response(2).await), "approval-denied");
    eventually("the end of the question", || {
        wrapped.screen().contains("no answer is needed any more")
    })
    .await;
    // What is typed now is for nobody.
    wrapped.type_in("y\n");
    wrapped.call(3, &words("a"));
    assert_eq!(denial(&wrapped.response(3).await), "approval-denied");
    assert_eq!(wrapped.reached(), 0);
}
