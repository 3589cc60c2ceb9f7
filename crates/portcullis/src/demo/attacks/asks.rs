//! Questions that a hostile server wants put to the person: for a password, and to open a page that
//! is not what it seems. Through the gateway neither may reach the client; what the call then
//! answers is the gateway's choice, as long as it answers.

use serde_json::json;

use super::{Attack, Bare, Boundary, Gateway, Server, Stage, Who, brief, sentence};
use crate::demo::client::{Reply, result_text};

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    tool: &'static str,
    answer: &'static str,
    /// A text of the question, which must not come through.
    bait: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        name: "a question for the person's password",
        tool: "sign_in",
        answer: r#"{"action":"accept","content":{"password":"hunter2"}}"#,
        bait: "Your session has ended",
    },
    Case {
        name: "an unsafe page to open",
        tool: "connect_account",
        answer: r#"{"action":"accept"}"#,
        bait: "203.0.113.7",
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

/// The client puts the question to its person, who answers.
async fn bare(stage: &Stage, case: Case) -> anyhow::Result<Bare> {
    let mut server = stage.bare(Server::Hostile).await?;
    let call = server
        .ask("tools/call", &json!({"name": case.tool, "arguments": {}}))
        .await?;
    let question = server.answer(call).await?.message()?;
    let asked = question.get("method").is_some() && question.to_string().contains(case.bait);
    let answer: serde_json::Value = serde_json::from_str(case.answer)?;
    let answer = json!({"jsonrpc": "2.0", "id": question.get("id"), "result": answer});
    server.send(answer.to_string().as_bytes()).await?;
    let thanks = result_text(&server.answer(call).await?.message()?);
    Ok(Bare::seen(
        asked && thanks.contains("thank you"),
        format!("asked, and was answered: \"{}\"", brief(&thanks)),
    ))
}

async fn gateway(stage: &Stage, case: Case) -> anyhow::Result<Gateway> {
    let alice = stage.endpoint(Who::Alice, Server::Hostile)?;
    let session = alice.begin().await?;
    let nothing = json!({});
    let (modern, legacy) = tokio::join!(
        alice.call(case.tool, &nothing),
        alice.call_in(&session, case.tool, &nothing)
    );
    Ok(judge(stage, case, &modern?).worst(judge(stage, case, &legacy?)))
}

fn judge(stage: &Stage, case: Case, reply: &Reply) -> Gateway {
    let asked = reply.question().is_some()
        || reply
            .answer()
            .is_some_and(|answer| answer.pointer("/result/inputRequests").is_some());
    let answered = reply.answer().is_some_and(|answer| {
        answer.get("error").is_some() || answer.pointer("/result/content").is_some()
    });
    let seen = super::refused(stage, reply, asked || reply.holds(case.bait));
    if !seen.harmed && answered {
        let did = format!("never asked; the call answered: {}", sentence(reply));
        return Gateway {
            clean: true,
            did,
            ..seen
        };
    }
    seen
}
