//! Handles that the gateway or a server gave to someone else, or to nobody: session ids, and the
//! state of a call that waits for a person's yes.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::{Attack, Bare, Boundary, Era, Gateway, Server, Side, Stage, Who};
use super::{barrier, handed, refused};
use crate::demo::client::{Endpoint, Post, Reply};

pub(super) fn all() -> Vec<Attack> {
    vec![
        Attack::new(
            "a made-up session id",
            Boundary::Client,
            |stage| Box::pin(bare_session(stage, "424242")),
            |stage| Box::pin(made_up_session(stage)),
        ),
        Attack::new(
            "another client's session id",
            Boundary::Client,
            |stage| Box::pin(bare_session(stage, "1")),
            |stage| Box::pin(anothers_session(stage)),
        ),
        Attack::new(
            "consent to a question never asked",
            Boundary::Client,
            |stage| Box::pin(bare_consent(stage, Consent::Unasked)),
            |stage| Box::pin(made_up_state(stage)),
        ),
        Attack::new(
            "consent in another client's place",
            Boundary::Client,
            |stage| Box::pin(bare_consent(stage, Consent::Anothers)),
            |stage| Box::pin(anothers_state(stage)),
        ),
        Attack::new(
            "consent used twice",
            Boundary::Client,
            |stage| Box::pin(bare_consent(stage, Consent::Twice)),
            |stage| Box::pin(spent_state(stage)),
        ),
    ]
}

fn add_note(mark: &str) -> String {
    let params = json!({"name": "add_note", "arguments": {"text": mark}});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
}

async fn bare_session(stage: &Stage, session: &str) -> anyhow::Result<Bare> {
    let face = stage.face();
    face.begin().await?;
    let mark = stage.mark();
    face.send(Post::legacy(add_note(&mark), session)).await?;
    Ok(Bare::seen(
        stage.noted(Side::Bare, &mark),
        "executed: kept the note",
    ))
}

async fn made_up_session(stage: &Stage) -> anyhow::Result<Gateway> {
    stage.session().await?;
    let alice = stage.endpoint(Who::Alice, Server::Honest)?;
    let mut worst: Option<Gateway> = None;
    for made_up in [
        "1",
        "00000000-0000-4000-8000-000000000000",
        "AAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let mark = stage.mark();
        let reply = alice.send(Post::legacy(add_note(&mark), made_up)).await?;
        barrier(stage, Who::Alice, Era::Legacy).await?;
        let seen = refused(stage, &reply, handed(stage, &mark) > 0);
        worst = Some(worst.map_or(seen.clone(), |worst| worst.worst(seen)));
    }
    worst.context("no session id was tried")
}

async fn anothers_session(stage: &Stage) -> anyhow::Result<Gateway> {
    let session = stage.session().await?;
    let mut worst: Option<Gateway> = None;
    for who in [Who::Mallory, Who::Nobody] {
        let mark = stage.mark();
        let thief = stage.endpoint(who, Server::Honest)?;
        let reply = thief.send(Post::legacy(add_note(&mark), session)).await?;
        barrier(stage, Who::Alice, Era::Legacy).await?;
        let seen = refused(stage, &reply, handed(stage, &mark) > 0);
        worst = Some(worst.map_or(seen.clone(), |worst| worst.worst(seen)));
    }
    worst.context("nobody tried the session id")
}

#[derive(Clone, Copy)]
enum Consent {
    Unasked,
    Anothers,
    Twice,
}

/// The bare server takes the answer to its question from any connection, asked or not, however often.
async fn bare_consent(stage: &Stage, consent: Consent) -> anyhow::Result<Bare> {
    let face = stage.face();
    let agree = |call: i64| {
        let result = json!({"action": "accept", "content": {"confirm": true}});
        json!({"jsonrpc": "2.0", "id": format!("erase {call}"), "result": result}).to_string()
    };
    if !matches!(consent, Consent::Unasked) {
        let asked = face.call("erase_notes", &json!({})).await?;
        asked.question().context("the server did not ask")?;
    }
    if matches!(consent, Consent::Twice) {
        face.send(Post::new(agree(7))).await?;
    }
    let mark = stage.mark();
    face.call("add_note", &json!({"text": mark})).await?;
    let stranger = stage.face();
    stranger.send(Post::new(agree(7))).await?;
    Ok(Bare::seen(
        !stage.noted(Side::Bare, &mark),
        "executed: erased every note",
    ))
}

/// A call that waits: the gateway's state for it and the keys of its questions.
struct Waiting {
    state: String,
    answers: Map<String, Value>,
}

async fn wait_for_consent(alice: &Endpoint) -> anyhow::Result<Waiting> {
    let reply = alice.call("erase_notes", &json!({})).await?;
    let result = reply.answer().and_then(|answer| answer.get("result"));
    let result = result.context("the call that asks was not answered with a question")?;
    let state = result.get("requestState").and_then(Value::as_str);
    let state = state.with_context(|| format!("there is no `requestState` in {result}"))?;
    let keys = result
        .get("inputRequests")
        .and_then(Value::as_object)
        .into_iter();
    let yes = json!({"action": "accept", "content": {"confirm": true}});
    let answers = keys
        .flat_map(Map::keys)
        .map(|key| (key.clone(), yes.clone()));
    Ok(Waiting {
        state: state.to_owned(),
        answers: answers.collect(),
    })
}

async fn agree(client: &Endpoint, state: &str, waiting: &Waiting) -> anyhow::Result<Reply> {
    let params = json!({
        "name": "erase_notes", "arguments": {},
        "inputResponses": waiting.answers, "requestState": state,
    });
    client.request("tools/call", &params).await
}

async fn note(alice: &Endpoint, stage: &Stage) -> anyhow::Result<String> {
    let mark = stage.mark();
    alice
        .call("add_note", &json!({"text": mark}))
        .await?
        .text()?;
    anyhow::ensure!(
        stage.noted(Side::Gateway, &mark),
        "an ordinary note was not kept"
    );
    Ok(mark)
}

async fn made_up_state(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Honest)?;
    let mark = note(&alice, stage).await?;
    let waiting = wait_for_consent(&alice).await?;
    let turned = |character: char| if character == 'A' { 'B' } else { 'A' };
    let middle = waiting.state.chars().count() / 2;
    let changed = waiting.state.chars().enumerate();
    let changed = changed.map(|(at, each)| if at == middle { turned(each) } else { each });
    let forgeries = [
        changed.collect::<String>(),
        waiting.state.chars().skip(1).collect(),
        r#"{"tool":"erase_notes","confirmed":true}"#.to_owned(),
        "eyJ0b29sIjoiZXJhc2Vfbm90ZXMiLCJjb25maXJtZWQiOnRydWV9".to_owned(),
    ];
    let mut worst: Option<Gateway> = None;
    for forged in forgeries {
        let reply = agree(&alice, &forged, &waiting).await?;
        barrier(stage, Who::Alice, Era::Modern).await?;
        let seen = refused(stage, &reply, !stage.noted(Side::Gateway, &mark));
        worst = Some(worst.map_or(seen.clone(), |worst| worst.worst(seen)));
    }
    worst.context("no state was tried")
}

async fn anothers_state(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Honest)?;
    let mallory = stage.endpoint(Who::Mallory, Server::Honest)?;
    let mark = note(&alice, stage).await?;
    let waiting = wait_for_consent(&alice).await?;
    let reply = agree(&mallory, &waiting.state, &waiting).await?;
    barrier(stage, Who::Alice, Era::Modern).await?;
    Ok(refused(stage, &reply, !stage.noted(Side::Gateway, &mark)))
}

async fn spent_state(stage: &Stage) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Honest)?;
    let before = note(&alice, stage).await?;
    let waiting = wait_for_consent(&alice).await?;
    agree(&alice, &waiting.state, &waiting).await?.text()?;
    anyhow::ensure!(
        !stage.noted(Side::Gateway, &before),
        "a real yes did not erase the notes"
    );
    let mark = note(&alice, stage).await?;
    let reply = agree(&alice, &waiting.state, &waiting).await?;
    barrier(stage, Who::Alice, Era::Modern).await?;
    Ok(refused(stage, &reply, !stage.noted(Side::Gateway, &mark)))
}
