//! The attacks: each is played against a bare server and through the gateway, and judged by what
//! was seen to happen. Nothing is taken for granted: an attack that does nothing to the bare server
//! shows nothing, and a gateway that neither let it through nor refused it cleanly has not stopped it.

mod arguments;
mod asks;
mod containment;
mod handles;
mod parsing;
mod results;
mod transport;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Era, Reply};
use super::stage::{Server, Side, Stage, Who};

/// How long one side of an attack may take.
const LEG_MAX: Duration = Duration::from_secs(30);

/// Where an attack crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boundary {
    /// From a client to the gateway.
    Client,
    /// From a model, by way of an honest client, to a tool.
    Tool,
    /// From a server back to the gateway and its clients.
    Server,
}

impl Boundary {
    /// Its number in the table.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Client => 1,
            Self::Tool => 2,
            Self::Server => 3,
        }
    }
}

/// What the bare server was seen to do.
#[derive(Clone, Debug)]
pub(super) struct Bare {
    /// Whether the attack had its effect.
    pub(super) harmed: bool,
    /// What was seen.
    pub(super) did: String,
}

impl Bare {
    /// The attack had its effect when `harmed`; `did` tells what was seen then.
    fn seen(harmed: bool, did: impl Into<String>) -> Self {
        let did = if harmed {
            did.into()
        } else {
            "no effect".to_owned()
        };
        Self { harmed, did }
    }
}

/// What the gateway was seen to do.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// Whether any of the attack's effect was seen.
    pub(super) harmed: bool,
    /// Whether the client got the answer that it should get.
    pub(super) clean: bool,
    /// The HTTP status code of that answer.
    pub(super) status: Option<u16>,
    /// The JSON-RPC error code of that answer.
    pub(super) code: Option<i64>,
    /// The stable code of the denial, if the answer names one.
    pub(super) denial: Option<String>,
    /// What was seen.
    pub(super) did: String,
}

impl Gateway {
    /// The one of two observations that speaks less for the gateway.
    fn worst(self, other: Self) -> Self {
        let bad = |seen: &Self| (seen.harmed, !seen.clean);
        if bad(&other) > bad(&self) {
            other
        } else {
            self
        }
    }

    /// Adds to what was seen.
    fn and(mut self, harmed: bool, clean: bool, did: &str) -> Self {
        self.harmed |= harmed;
        self.clean &= clean;
        if harmed || !clean {
            self.did = format!("{did}; {}", self.did);
        }
        self
    }

    /// Says in other words what was seen, when all went well.
    fn told(mut self, did: impl Into<String>) -> Self {
        if !self.harmed && self.clean {
            self.did = did.into();
        }
        self
    }
}

/// What an attack came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works against the bare server, has no effect through the gateway, and was answered cleanly.
    Stopped,
    /// It had its effect through the gateway.
    GotThrough,
    /// It had no effect that was seen, but the gateway did not answer as it should.
    Unclear,
    /// It did nothing to the bare server either, and so shows nothing.
    NotShown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::GotThrough => "GOT THROUGH",
            Self::Unclear => "UNCLEAR",
            Self::NotShown => "NOT SHOWN",
        })
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What is attempted.
    pub(super) attack: &'static str,
    /// Where it crosses.
    pub(super) boundary: Boundary,
    /// What the bare server did.
    pub(super) bare: Bare,
    /// What the gateway did.
    pub(super) gateway: Gateway,
}

impl Row {
    /// What it came to.
    pub(super) const fn verdict(&self) -> Verdict {
        match (self.gateway.harmed, self.gateway.clean, self.bare.harmed) {
            (true, _, _) => Verdict::GotThrough,
            (false, false, _) => Verdict::Unclear,
            (false, true, false) => Verdict::NotShown,
            (false, true, true) => Verdict::Stopped,
        }
    }

    /// The line as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "attack": self.attack,
            "boundary": self.boundary.number(),
            "verdict": self.verdict().to_string().to_lowercase().replace(' ', "-"),
            "bare": {"harmed": self.bare.harmed, "did": self.bare.did},
            "gateway": {
                "harmed": self.gateway.harmed,
                "clean": self.gateway.clean,
                "status": self.gateway.status,
                "code": self.gateway.code,
                "denial": self.gateway.denial,
                "did": self.gateway.did,
            },
        })
    }
}

type Leg<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;
type Play<T> = Box<dyn for<'a> Fn(&'a Stage) -> Leg<'a, T> + Send + Sync>;

/// One attack, ready to be played.
pub(super) struct Attack {
    name: &'static str,
    boundary: Boundary,
    bare: Play<Bare>,
    gateway: Play<Gateway>,
}

impl fmt::Debug for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attack")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Attack {
    fn new(
        name: &'static str,
        boundary: Boundary,
        bare: impl for<'a> Fn(&'a Stage) -> Leg<'a, Bare> + Send + Sync + 'static,
        gateway: impl for<'a> Fn(&'a Stage) -> Leg<'a, Gateway> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            boundary,
            bare: Box::new(bare),
            gateway: Box::new(gateway),
        }
    }

    /// Plays it on both sides at the same time.
    pub(super) async fn play(&self, stage: &Stage) -> Row {
        let (bare, gateway) = tokio::join!(
            tokio::time::timeout(LEG_MAX, (self.bare)(stage)),
            tokio::time::timeout(LEG_MAX, (self.gateway)(stage)),
        );
        let bare = bare.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
        let gateway = gateway.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
        Row {
            attack: self.name,
            boundary: self.boundary,
            bare: bare.unwrap_or_else(|error| Bare {
                harmed: false,
                did: format!("could not be played: {error:#}"),
            }),
            gateway: gateway.unwrap_or_else(|error| Gateway {
                harmed: false,
                clean: false,
                status: None,
                code: None,
                denial: None,
                did: format!("could not be played: {error:#}"),
            }),
        }
    }
}

/// All attacks, in the table's order.
pub(super) fn all() -> Vec<Attack> {
    let mut attacks = parsing::all();
    attacks.extend(transport::all());
    attacks.extend(handles::all());
    attacks.extend(arguments::all());
    attacks.extend(results::all());
    attacks.extend(asks::all());
    attacks.extend(containment::all());
    attacks
}

/// Judges a reply that should be a refusal: a 4xx, a JSON-RPC error, or a tool result that says that
/// the tool failed, and in any case one that reveals nothing. `effect` tells whether the attack's
/// effect was seen.
fn refused(stage: &Stage, reply: &Reply, effect: bool) -> Gateway {
    judge(
        reply,
        effect,
        stage.reveals(&String::from_utf8_lossy(&reply.body)),
    )
}

/// Judges a reply that should be a refusal; `reveals` tells whether it says what it must not.
fn judge(reply: &Reply, effect: bool, reveals: bool) -> Gateway {
    let error = reply.answer().and_then(|answer| answer.get("error"));
    let failed = reply
        .answer()
        .and_then(|answer| answer.pointer("/result/isError"));
    let failed = failed == Some(&Value::Bool(true));
    let said_no = match reply.status {
        200 => error.is_some() || failed,
        401 | 403 | 404 | 405 | 408 | 413 | 421 | 429 | 431 => {
            reply.messages.is_empty() || error.is_some()
        }
        400..=499 | 502..=504 => error.is_some(),
        _ => false,
    };
    let silent = !reveals;
    let code = error
        .and_then(|error| error.get("code"))
        .and_then(Value::as_i64);
    let body = || brief(&String::from_utf8_lossy(&reply.body));
    let did = match (effect, said_no, silent) {
        (true, ..) => format!("it had its effect; the answer: {}", body()),
        (false, false, _) => format!("this is no refusal: {}", body()),
        (false, true, false) => format!("its refusal says too much: {}", sentence(reply)),
        (false, true, true) => sentence(reply),
    };
    Gateway {
        harmed: effect || !silent,
        clean: said_no && silent,
        status: Some(reply.status),
        code,
        denial: denial(reply),
        did,
    }
}

/// The stable code of a denial within a reply.
fn denial(reply: &Reply) -> Option<String> {
    let answer = reply.answer()?;
    ["/error/data/code", "/result/_meta/portcullis~1denial/code"]
        .iter()
        .find_map(|place| answer.pointer(place)?.as_str().map(str::to_owned))
}

/// What a refusal says to its reader.
fn sentence(reply: &Reply) -> String {
    let answer = reply.answer();
    let message = answer
        .and_then(|answer| answer.pointer("/error/message"))
        .and_then(Value::as_str);
    match (message, answer) {
        (Some(message), _) => brief(message),
        (None, Some(answer)) => brief(&super::client::result_text(answer)),
        (None, None) if reply.body.is_empty() => "refused".to_owned(),
        (None, None) => brief(&String::from_utf8_lossy(&reply.body)),
    }
}

fn brief(text: &str) -> String {
    // The start is enough, and the whole may be megabytes.
    let start = text
        .get(..text.floor_char_boundary(1024))
        .unwrap_or_default();
    let mut short = start.split_whitespace().collect::<Vec<_>>().join(" ");
    if short.chars().count() > 160 {
        short = short.chars().take(159).chain(['…']).collect();
    }
    short
}

/// Calls an ordinary tool on the way that an attack took. What the attack left on that way has
/// arrived at the server when this is answered, and the gateway is seen to work on.
async fn barrier(stage: &Stage, who: Who, era: Era) -> anyhow::Result<()> {
    let endpoint = stage.endpoint(who, Server::Honest)?;
    let reply = match era {
        Era::Modern => endpoint.call("list_notes", &json!({})).await?,
        Era::Legacy => {
            endpoint
                .call_in(stage.session().await?, "list_notes", &json!({}))
                .await?
        }
    };
    reply.text().map(drop)
}

/// How many tool calls with `text` in them the honest server behind the gateway has been handed.
fn handed(stage: &Stage, text: &str) -> usize {
    stage.reached(Side::Gateway, Server::Honest, text)
}

#[cfg(test)]
mod tests;
