//! The gateway as a stdio server to one client, in either era: messages are lines (MCP, transports, "stdio").

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_mcp::{
    Era, Limits, Message, Object, Request, RpcError, Version, code, decode, encode_error, meta,
    method, single_line,
};
use portcullis_pipeline::{Principal, PrincipalKind};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::task::JoinSet;

use crate::caller::{Caller, request_id, unknown_profile};
use crate::calls::{self, Calls, NotBegun};
use crate::dispatch::{dispatch, served_versions};
use crate::legacy;
use crate::listen;
use crate::modern;
use crate::reply::{Refusal, Reply, render};
use crate::route::Route;
use crate::runtime::Runtime;
use crate::session::Session;
use crate::stream::Stream;
use crate::upstream::Profile;
use crate::{hello, listener};

/// Serves one client over a pipe until it closes its end or `shutdown` is done.
pub async fn serve_stdio<I, O>(
    runtime: Arc<Runtime>,
    route: Route,
    input: I,
    output: O,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<listener::Drained>
where
    I: tokio::io::AsyncRead + Send + Unpin,
    O: AsyncWrite + Send + Unpin + 'static,
{
    let messages = Stream::new();
    let writer = tokio::spawn(write(Arc::clone(&messages), output));
    let pipe = Pipe {
        principal: Principal::new("stdio", PrincipalKind::Stdio),
        route,
        output: messages,
        session: Mutex::new(None),
        calls: Arc::default(),
        runtime,
    };
    let pipe = Arc::new(pipe);
    let mut tasks = JoinSet::new();
    let read = {
        tokio::pin!(shutdown);
        tokio::select! {
            read = read(&pipe, BufReader::new(input), &mut tasks) => read,
            () = &mut shutdown => Ok(()),
        }
    };
    let drained = pipe.end(tasks).await;
    pipe.output.finish();
    writer.await.map_err(io::Error::other)??;
    read.map(|()| drained)
}

async fn write<O: AsyncWrite + Unpin>(messages: Arc<Stream>, mut output: O) -> io::Result<()> {
    while let Some(message) = messages.next().await {
        output.write_all(&single_line(&message)).await?;
        output.write_all(b"\n").await?;
        output.flush().await?;
    }
    Ok(())
}

async fn read<I: AsyncBufRead + Unpin>(
    pipe: &Arc<Pipe>,
    mut input: I,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    let most = pipe.runtime.limits.request_bytes_max.get();
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let chunk = input.fill_buf().await?;
        if chunk.is_empty() {
            if !line.is_empty() && !too_long {
                pipe.take(Bytes::from(std::mem::take(&mut line)), tasks)
                    .await;
            }
            return Ok(());
        }
        let (part, used, complete) = match memchr::memchr(b'\n', chunk) {
            Some(end) => (chunk.get(..end).unwrap_or_default(), end + 1, true),
            None => (chunk, chunk.len(), false),
        };
        if line.len() + part.len() > most {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(part);
        }
        input.consume(used);
        if !complete {
            continue;
        }
        while tasks.try_join_next().is_some() {}
        if std::mem::take(&mut too_long) {
            let error = RpcError::new(
                code::INVALID_REQUEST,
                "the message is larger than `limits.request_bytes_max`",
            );
            pipe.output.push(encode_error(None, &error));
        } else if !line.trim_ascii().is_empty() {
            pipe.take(Bytes::from(std::mem::take(&mut line)), tasks)
                .await;
        }
        line.clear();
    }
}

/// A client at the other end of a pipe.
struct Pipe {
    runtime: Arc<Runtime>,
    principal: Principal,
    route: Route,
    output: Arc<Stream>,
    /// What `initialize` has established, with a client of the legacy era.
    session: Mutex<Option<Arc<Session>>>,
    /// Requests of the modern era in progress.
    calls: Arc<Calls>,
}

impl Pipe {
    async fn take(self: &Arc<Self>, line: Bytes, tasks: &mut JoinSet<()>) {
        let limits = &self.runtime.limits;
        let scan = Limits {
            bytes_max: limits.request_bytes_max.get(),
            depth_max: limits.depth_max,
            ..Limits::default()
        };
        match decode(line, &scan) {
            Ok(Message::Request(request)) => self.request(request, tasks).await,
            Ok(Message::Notification(notification)) => {
                let session = self.session.lock().clone();
                let params = notification.params();
                match session {
                    Some(session) => {
                        let caller = self.legacy_caller(&session);
                        legacy::notified(&session, &notification.method, params).await;
                        if &*notification.method == method::NOTIFICATIONS_INITIALIZED {
                            tasks.spawn(async move { listen::stand(&caller, &session).await });
                        }
                    }
                    None if &*notification.method == method::NOTIFICATIONS_CANCELLED => {
                        if let Some(id) = calls::cancelled_id(params) {
                            self.calls.cancel(&id);
                        }
                    }
                    None => {}
                }
            }
            Ok(Message::Response(response)) => {
                let session = self.session.lock().clone();
                if let (Some(session), Some(id)) = (session, &response.id)
                    && !session.answered(id, response.outcome)
                {
                    tracing::debug!("a client answered what nobody asked");
                }
            }
            Err(fault) => {
                tracing::info!(%fault, "a message was refused");
                let error = RpcError::new(fault.code, fault.reply_message());
                self.output.push(encode_error(fault.id.as_ref(), &error));
            }
        }
    }

    async fn request(self: &Arc<Self>, request: Request, tasks: &mut JoinSet<()>) {
        let held = request.params().and_then(Object::parse).and_then(|params| {
            params
                .get("_meta")
                .and_then(Object::parse)
                .map(Object::into_owned)
        });
        let is_modern = held
            .as_ref()
            .is_some_and(|held| held.contains(meta::PROTOCOL_VERSION));
        if &*request.method == method::INITIALIZE && !is_modern {
            return self.initialize(&request).await;
        }
        let session = self.session.lock().clone();
        let caller = match (is_modern, session) {
            (true, _) => match self.modern_caller(held.as_ref()) {
                Ok(caller) => caller,
                Err(refusal) => return self.refuse(&request, refusal),
            },
            (false, Some(session)) => self.legacy_caller(&session),
            (false, None) if &*request.method == method::PING => {
                return self
                    .output
                    .push(portcullis_mcp::encode_result(&request.id, b"{}"));
            }
            (false, None) => {
                let message = "send `initialize` first, or name a protocol version in `_meta`";
                return self.refuse(&request, Refusal::invalid_request(message));
            }
        };
        let calls = match &caller.session {
            Some(session) => &session.calls,
            None => &self.calls,
        };
        let guard = match calls.begin(&request.id) {
            Ok(guard) => guard,
            Err(NotBegun::TooMany) => {
                return self.refuse(
                    &request,
                    Refusal::Overloaded("too many requests are in progress"),
                );
            }
            Err(NotBegun::DuplicateId) => {
                let message = "a request with this id is still in progress";
                return self.refuse(&request, Refusal::invalid_request(message));
            }
        };
        let Some(entered) = self
            .runtime
            .shared
            .requests
            .enter(self.runtime.limits.requests_max)
        else {
            return self.refuse(
                &request,
                Refusal::Overloaded("too many requests are in progress"),
            );
        };
        tasks.spawn(async move {
            let reply = tokio::select! {
                biased;
                reply = dispatch(&caller, &request) => reply,
                () = guard.cancelled.cancelled() => Reply::Nothing,
            };
            if let Reply::Message { bytes, .. } = reply {
                caller.stream.push(bytes);
            }
            drop((guard, entered));
        });
    }

    async fn initialize(&self, request: &Request) {
        let (version, profile) = match legacy::introduction(request) {
            Ok(introduced) => introduced,
            Err(refusal) => return self.refuse(request, refusal),
        };
        let session = Session::over_pipe(
            self.principal.clone(),
            self.route.clone(),
            version,
            profile,
            Arc::clone(&self.output),
            Instant::now(),
        );
        let caller = self.legacy_caller(&session);
        let result = hello::initialize(&caller, version).await;
        if result.is_ok() {
            let before = self.session.lock().replace(session);
            if let Some(before) = before {
                drop(before.end());
            }
        }
        self.send(render(&caller, &request.id, &request.method, result));
    }

    fn send(&self, reply: Reply) {
        if let Reply::Message { bytes, .. } = reply {
            self.output.push(bytes);
        }
    }

    fn refuse(&self, request: &Request, refusal: Refusal) {
        let caller = self.caller(Version::LATEST, unknown_profile());
        self.send(render(&caller, &request.id, &request.method, Err(refusal)));
    }

    fn caller(&self, version: Version, profile: Profile) -> Caller {
        Caller {
            runtime: Arc::clone(&self.runtime),
            principal: self.principal.clone(),
            credential: None,
            route: self.route.clone(),
            version,
            profile: Arc::new(profile),
            session: None,
            stream: Arc::clone(&self.output),
            request_id: request_id(self.runtime.clock.now()),
            headers: None,
        }
    }

    fn legacy_caller(&self, session: &Arc<Session>) -> Caller {
        Caller {
            profile: Arc::clone(&session.profile),
            session: Some(Arc::clone(session)),
            ..self.caller(session.version, unknown_profile())
        }
    }

    fn modern_caller(&self, held: Option<&Object<'_>>) -> Result<Caller, Refusal> {
        let profile = modern::profile_of(held)?;
        let asked = held
            .and_then(|held| held.get_str(meta::PROTOCOL_VERSION))
            .unwrap_or_default();
        match Version::parse(&asked) {
            Some(version) if version.era() == Era::Modern => Ok(self.caller(version, profile)),
            _ => Err(Refusal::unsupported_version(&asked, &served_versions())),
        }
    }

    /// Lets what is in progress end, and closes the servers.
    async fn end(&self, mut tasks: JoinSet<()>) -> listener::Drained {
        let shared = &self.runtime.shared;
        let in_progress = shared.requests.count();
        shared.ending.cancel();
        let patience = self.runtime.limits.shutdown_timeout.get();
        let mut cut_off = 0;
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            cut_off = shared.requests.count();
            shared.stopping.cancel();
            let all = async { while tasks.join_next().await.is_some() {} };
            drop(tokio::time::timeout(patience, all).await);
        }
        let session = self.session.lock().take();
        if let Some(session) = session {
            for link in session.end() {
                link.connection.close().await;
            }
        }
        self.runtime.close().await;
        listener::Drained {
            in_progress,
            cut_off,
        }
    }
}
