//! Results and errors that a hostile server sends: two results in one, text that is none, more than
//! anyone can hold, what the tool's own schema forbids, and what should stay inside.

use serde_json::{Value, json};

use super::{Attack, Bare, Boundary, Gateway, Server, Stage, Who, brief, refused};
use crate::demo::client::{Heard, Reply, result_text};
use crate::demo::hostile::{FORGED, INTERNAL_PATH, INTERNAL_TOKEN, OVERSIZED};

/// What of the hostile server's answer must not come through.
#[derive(Clone, Copy)]
enum Poison {
    /// This text.
    Text(&'static str),
    /// Either of the things that the error lets slip.
    Internals,
    /// The character that stands for bytes that are no text, or such bytes.
    BrokenText,
    /// So many bytes.
    Bytes(usize),
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    tool: &'static str,
    poison: Poison,
    took: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        name: "a result that says two things",
        tool: "duplicate",
        poison: Poison::Text(FORGED),
        took: "the client took the second",
    },
    Case {
        name: "a result that is not UTF-8",
        tool: "broken_text",
        poison: Poison::BrokenText,
        took: "the client took the broken text",
    },
    Case {
        name: "a result of 3 MiB",
        tool: "oversized",
        poison: Poison::Bytes(OVERSIZED / 2),
        took: "the client took all of it",
    },
    Case {
        name: "a result that its schema forbids",
        tool: "balance",
        poison: Poison::Text(FORGED),
        took: "the client took it",
    },
    Case {
        name: "an error that tells of the inside",
        tool: "lookup_order",
        poison: Poison::Internals,
        took: "the client saw a path and a password",
    },
];

pub(super) fn all() -> Vec<Attack> {
    let attack = |case: Case| {
        Attack::new(
            case.name,
            Boundary::Server,
            move |stage| Box::pin(bare(stage, case)),
            move |stage| Box::pin(gateway(stage, case)),
        )
    };
    CASES.map(attack).into()
}

impl Poison {
    fn within(self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        match self {
            Self::Text(poison) => text.contains(poison),
            Self::Internals => [INTERNAL_PATH, INTERNAL_TOKEN, "10.0.0.5", "Traceback"]
                .iter()
                .any(|inside| text.contains(inside)),
            // The word itself may stand in an identifier, which has the digits `a` to `f`.
            Self::BrokenText => {
                text.contains(char::REPLACEMENT_CHARACTER) || text.contains("caf\u{e9}")
            }
            Self::Bytes(size) => body.len() >= size,
        }
    }
}

async fn bare(stage: &Stage, case: Case) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    let heard = server.call(case.tool, &json!({})).await?;
    let Heard::Message(answer, size) = heard else {
        return Ok(Bare::seen(false, ""));
    };
    // What the client's model is given: the text, or the error as it is.
    let given = if let Some(error) = answer.get("error") {
        error.to_string()
    } else {
        let structured = answer
            .pointer("/result/structuredContent")
            .map(Value::to_string);
        format!(
            "{} {}",
            result_text(&answer),
            structured.unwrap_or_default()
        )
    };
    let what = if size > 4096 {
        format!("{size} bytes")
    } else {
        brief(&given)
    };
    Ok(Bare::seen(
        case.poison.within(given.as_bytes()),
        format!("{}: {what}", case.took),
    ))
}

async fn gateway(stage: &Stage, case: Case) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let session = alice.begin().await?;
    let nothing = json!({});
    let (modern, legacy) = tokio::join!(
        alice.call(case.tool, &nothing),
        alice.call_in(&session, case.tool, &nothing),
    );
    let judge = |reply: &Reply| refused(stage, reply, case.poison.within(&reply.body));
    Ok(judge(&modern?).worst(judge(&legacy?)))
}
