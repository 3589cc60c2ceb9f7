//! What the tests of `upstream` start: a guard for the sandbox, or a local server that behaves as its
//! argument says. An example, not a test, because the tests need to know where the program is.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::process::ExitCode;

use portcullis_mcp::{
    Id, Limits, Message, Object, Outcome, Request, RpcError, decode, encode_error,
    encode_notification, encode_request, encode_result,
};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|arg| arg.to_str()) {
        Some("__guard") => portcullis_sandbox::guard_main(args),
        Some("serve") => serve(args.next()),
        _ => ExitCode::FAILURE,
    }
}

/// Speaks MCP on the standard streams until the input ends.
fn serve(mode: Option<OsString>) -> ExitCode {
    let mode = mode
        .and_then(|mode| mode.into_string().ok())
        .unwrap_or_default();
    let mut server = Server {
        mode,
        out: std::io::stdout(),
        parked: None,
    };
    let result = match server.mode.as_str() {
        "babble" => server.babble(),
        "deaf" => loop {
            std::thread::park();
        },
        _ => server.run(),
    };
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Server {
    mode: String,
    out: std::io::Stdout,
    /// The id of a request of ours, and the call that waits for its answer.
    parked: Option<(Id, Id)>,
}

impl Server {
    fn say(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.out.write_all(message)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn result(&mut self, id: &Id, result: &str) -> std::io::Result<()> {
        self.say(&encode_result(id, result.as_bytes()))
    }

    fn error(&mut self, id: &Id, code: i64, data: Option<&'static str>) -> std::io::Result<()> {
        let error = RpcError::new(code, "refused");
        let error = match data {
            Some(data) => error.with_data(data),
            None => error,
        };
        self.say(&encode_error(Some(id), &error))
    }

    fn notify(&mut self, method: &str, params: &str) -> std::io::Result<()> {
        self.say(&encode_notification(method, Some(params.as_bytes())))
    }

    fn babble(&mut self) -> std::io::Result<()> {
        loop {
            self.say(b"Server listening, have a nice day")?;
        }
    }

    fn run(&mut self) -> std::io::Result<()> {
        for line in std::io::stdin().lock().lines() {
            match decode(line?.into_bytes().into(), &Limits::for_server()) {
                Ok(Message::Request(request)) => self.request(&request)?,
                Ok(Message::Notification(notification))
                    if &*notification.method == "notifications/cancelled" =>
                {
                    let params = notification.params().unwrap_or(b"{}").to_vec();
                    self.say(&encode_notification("test/cancelled", Some(&params)))?;
                }
                Ok(Message::Response(response)) => {
                    if let Some((ours, call)) = self.parked.clone()
                        && response.id == Some(ours)
                        && let Outcome::Result(raw) = response.outcome
                    {
                        self.say(&encode_result(&call, &raw))?;
                    }
                }
                Ok(Message::Notification(_)) => {}
                Err(_) => return Err(std::io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(())
    }

    fn request(&mut self, request: &Request) -> std::io::Result<()> {
        let id = &request.id;
        let mode = self.mode.clone();
        match (&*request.method, mode.as_str()) {
            ("server/discover", "modern") => self.result(
                id,
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"be kind","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"peer"}}}"#,
            ),
            ("server/discover", "silent") => Ok(()),
            ("server/discover", "brittle") => std::process::exit(1),
            ("server/discover", "unsupported") => {
                self.error(id, -32022, Some(r#"{"supported":["2025-03-26"],"requested":"x"}"#))
            }
            ("initialize", "refuses") => self.error(id, -32603, None),
            ("initialize", "ends") => std::process::exit(7),
            ("initialize", _) => {
                let params = request.params().and_then(Object::parse).unwrap_or_default();
                let version = params.get_str("protocolVersion").unwrap_or_default();
                self.result(
                    id,
                    &format!(
                        r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"peer","version":"1"}}}}"#
                    ),
                )
            }
            (method, _) => self.test(method, id, request),
        }
    }

    /// The methods that the tests ask for.
    fn test(&mut self, method: &str, id: &Id, request: &Request) -> std::io::Result<()> {
        let params = request.params().unwrap_or(b"{}").to_vec();
        match method {
            "test/echo" => self.say(&encode_result(id, &params)),
            "test/never" => Ok(()),
            "test/die" => std::process::exit(3),
            "test/progress" => {
                let token = Object::parse(&params)
                    .and_then(|params| Some(params.get("_meta")?.to_vec()))
                    .and_then(|meta| Some(Object::parse(&meta)?.get("progressToken")?.to_vec()));
                let token = String::from_utf8(token.unwrap_or_default()).unwrap_or_default();
                for step in 1..=2 {
                    let params = format!(r#"{{"progressToken":{token},"progress":{step}}}"#);
                    self.notify("notifications/progress", &params)?;
                }
                self.notify(
                    "notifications/progress",
                    r#"{"progressToken":999,"progress":9}"#,
                )?;
                self.notify("notifications/message", r#"{"level":"info","data":"log"}"#)?;
                self.notify("notifications/tools/list_changed", "{}")?;
                self.result(id, "{}")
            }
            "test/ask" => {
                self.say(&encode_request(&Id::String("ping".into()), "ping", None))?;
                let ours = Id::String("q".into());
                self.parked = Some((ours.clone(), id.clone()));
                self.say(&encode_request(&ours, "roots/list", None))
            }
            // A `ping` whose answer answers the call.
            "test/ping" => {
                let ours = Id::Number(1);
                self.parked = Some((ours.clone(), id.clone()));
                self.say(&encode_request(&ours, "ping", None))
            }
            "test/garbage" => {
                self.say(b"not JSON at all")?;
                self.say(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1}")?;
                self.say(b"[]")?;
                self.say(b"")?;
                self.result(id, "{}")
            }
            "test/flood" => {
                for _ in 0..30 {
                    self.say(b"Error: something went wrong")?;
                }
                Ok(())
            }
            "test/duplicate" => {
                let mut text = Vec::new();
                id.write(&mut text);
                let id = String::from_utf8(text).unwrap_or_default();
                self.say(
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"a":1,"a":2}}}}"#).as_bytes(),
                )
            }
            "test/oversize" => {
                let filler = "x".repeat(256 * 1024);
                self.result(id, &format!(r#"{{"text":"{filler}"}}"#))
            }
            "test/stderr" => {
                let line = "e".repeat(1000);
                for _ in 0..4000 {
                    writeln!(std::io::stderr(), "{line}")?;
                }
                self.result(id, "{}")
            }
            "test/environment" => {
                let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                self.result(id, &format!("{names:?}"))
            }
            "subscriptions/listen" => {
                let mut text = Vec::new();
                id.write(&mut text);
                let id = String::from_utf8(text).unwrap_or_default();
                let meta =
                    format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}"#);
                self.notify("notifications/subscriptions/acknowledged", &meta)?;
                self.notify("notifications/tools/list_changed", &meta)?;
                // A modern server may not do this.
                self.say(&encode_request(&Id::Number(1), "roots/list", None))
            }
            _ => self.error(id, -32601, None),
        }
    }
}
