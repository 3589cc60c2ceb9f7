//! What a hostile server does beyond its answers: it looks around, fills its log, answers for
//! others, does not answer at all, and points its schema at an address of its choice.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Attack, Bare, Boundary, Gateway, Server, Side, Stage, Who, brief, refused};
use crate::demo::client::{Heard, Logs, Reply, result_text};
use crate::demo::hostile::FORGED;
use crate::demo::stage::VARIABLE;

/// How long another client may have to wait while a server hangs.
const PROMPT: Duration = Duration::from_secs(1);

pub(super) fn all() -> Vec<Attack> {
    vec![
        Attack::new(
            "reads the environment",
            Boundary::Server,
            |stage| Box::pin(bare_environment(stage)),
            |stage| Box::pin(environment(stage)),
        ),
        Attack::new(
            "floods its log",
            Boundary::Server,
            |stage| Box::pin(bare_flood(stage)),
            |stage| Box::pin(flood(stage)),
        ),
        Attack::new(
            "answers another client's request",
            Boundary::Server,
            |stage| Box::pin(bare_confusion(stage)),
            |stage| Box::pin(confusion(stage)),
        ),
        Attack::new(
            "hangs",
            Boundary::Server,
            |stage| Box::pin(bare_hang(stage)),
            |stage| Box::pin(hang(stage)),
        ),
        Attack::new(
            "refers its schema to an address",
            Boundary::Server,
            |stage| Box::pin(bare_reference(stage)),
            |stage| Box::pin(reference(stage)),
        ),
    ]
}

/// A reply that should be an ordinary result, with nothing of the attack in it.
fn served(stage: &Stage, reply: &Reply, effect: bool) -> Gateway {
    match (reply.text(), effect) {
        (Ok(text), false) => Gateway {
            harmed: false,
            clean: true,
            status: Some(reply.status),
            code: None,
            denial: None,
            did: brief(&text),
        },
        (_, effect) => {
            let seen = refused(stage, reply, effect);
            Gateway {
                clean: false,
                ..seen
            }
        }
    }
}

async fn bare_environment(stage: &Stage) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    let answer = result_text(&server.call("diagnostics", &json!({})).await?.message()?);
    let line = answer.lines().find(|line| line.starts_with(VARIABLE));
    Ok(Bare::seen(
        line.is_some(),
        format!("read the client's {}", line.unwrap_or_default()),
    ))
}

async fn environment(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let reply = alice.call("diagnostics", &json!({})).await?;
    let text = reply.text()?;
    let names = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    let names = names.collect::<Vec<_>>().join(" ");
    Ok(served(stage, &reply, text.contains(VARIABLE)).told(format!("read only: {names}")))
}

async fn bare_flood(stage: &Stage) -> anyhow::Result<Bare> {
    let mut server = stage.bare_with(Server::Hostile, Logs::Unread).await?;
    let heard = server.call("verbose", &json!({})).await?;
    let stuck = matches!(heard, Heard::Silence);
    Ok(Bare::seen(stuck, "stuck: no answer once the pipe was full"))
}

async fn flood(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let begin = Instant::now();
    let reply = alice.call("verbose", &json!({})).await?;
    let after = begin.elapsed().as_millis();
    Ok(served(stage, &reply, false).told(format!("drained; answered after {after} ms")))
}

/// Two clients of one process: the second one's call answers the first one's request.
async fn bare_confusion(stage: &Stage) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    let victim = server
        .ask(
            "tools/call",
            &json!({"name": "slow_lookup", "arguments": {}}),
        )
        .await?;
    server
        .ask("tools/call", &json!({"name": "confuse", "arguments": {}}))
        .await?;
    let answer = result_text(&server.answer(victim).await?.message()?);
    Ok(Bare::seen(
        answer.contains(FORGED),
        format!("the first client was told \"{answer}\""),
    ))
}

async fn confusion(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let mallory = stage.endpoint(Who::Mallory, Server::Hostile)?;
    // Both have their connection to the server before it matters.
    alice.call("weather", &json!({})).await?.text()?;
    mallory.call("weather", &json!({})).await?.text()?;
    let nothing = json!({});
    let attack = async {
        arrival(stage, "slow_lookup").await?;
        mallory.call("confuse", &nothing).await
    };
    let (victim, attacker) = tokio::join!(alice.call("slow_lookup", &nothing), attack);
    let (victim, attacker) = (victim?, attacker?);
    let effect = victim.holds(FORGED) || attacker.holds(FORGED);
    let told = format!(
        "each was told what is theirs: \"{}\"",
        victim.text().unwrap_or_default()
    );
    Ok(served(stage, &victim, effect)
        .worst(served(stage, &attacker, effect))
        .told(told))
}

async fn bare_hang(stage: &Stage) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    server
        .ask("tools/call", &json!({"name": "hang", "arguments": {}}))
        .await?;
    let heard = server.call("weather", &json!({})).await?;
    Ok(Bare::seen(
        matches!(heard, Heard::Silence),
        "the next client's call got no answer",
    ))
}

async fn hang(stage: &Stage) -> anyhow::Result<Gateway> {
    let mallory = stage.endpoint(Who::Mallory, Server::Hostile)?;
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let nothing = json!({});
    // What starts her process is not to be counted as waiting.
    alice.call("weather", &nothing).await?.text()?;
    let others = async {
        arrival(stage, "hang").await?;
        let begin = Instant::now();
        alice.call("weather", &nothing).await?.text()?;
        let honest = stage.endpoint(Who::Mallory, Server::Honest)?;
        honest.call("list_files", &nothing).await?.text()?;
        anyhow::Ok(begin.elapsed())
    };
    let (hung, others) = tokio::join!(mallory.call("hang", &nothing), others);
    let seen = refused(stage, &hung?, false);
    Ok(match others {
        Err(error) => seen.and(
            true,
            true,
            &format!("another client's call failed: {error:#}"),
        ),
        Ok(waited) => {
            let waited_ms = waited.as_millis();
            let told = format!(
                "others were answered within {waited_ms} ms; then: {}",
                seen.did
            );
            let late = waited > PROMPT;
            seen.told(told)
                .and(late, true, &format!("others waited {waited_ms} ms"))
        }
    })
}

/// A client that resolves references, as many a schema library does unless told otherwise.
async fn bare_reference(stage: &Stage) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    let list = server.request("tools/list", &json!({})).await?.message()?;
    let tools = list
        .pointer("/result/tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut references = tools.filter_map(|tool| tool.pointer("/inputSchema/$ref")?.as_str());
    let url = references
        .next()
        .context("the server refers to no schema")?;
    let address = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    let address = address.context("the reference is not an address")?;
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET /schema.json HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    let called = stage.trap(Side::Bare).calls() > 0;
    Ok(Bare::seen(
        called,
        format!("the client sent a request to {address}"),
    ))
}

async fn reference(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    alice.request("tools/list", &json!({})).await?;
    let reply = alice.call("convert", &json!({})).await?;
    // Behind it on the same way: what the call left has arrived, and the other tools work.
    alice.call("weather", &json!({})).await?.text()?;
    let fetched = stage.trap(Side::Gateway).calls() > 0;
    let executed = stage.reached(Side::Gateway, Server::Hostile, "convert") > 0;
    Ok(refused(
        stage,
        &reply,
        fetched || executed || reply.holds(FORGED),
    ))
}

/// Waits until a call with `text` in it is in the hostile server's journal.
async fn arrival(stage: &Stage, text: &str) -> anyhow::Result<()> {
    let arrived = async {
        while stage.reached(Side::Gateway, Server::Hostile, text) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, arrived)
        .await
        .with_context(|| format!("`{text}` never arrived"))
}
