//! Messages that two readers understand differently: what one of them checks is not what the other
//! executes. The same bytes go to both sides; through the gateway, in both eras.

use super::{Attack, Bare, Boundary, Era, Gateway, Server, Side, Stage, Who};
use super::{barrier, handed, refused};
use crate::demo::client::{Heard, Post, modern_meta};

/// The name of the attack and its message. `@MARK` becomes the text whose arrival is the effect,
/// `@META` what the era requires in the parameters, `@DEEP` a very deep array.
const CASES: [(&str, &str); 9] = [
    (
        "the same member twice",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"buy milk","text":"@MARK"}@META}}"#,
    ),
    (
        "the same member twice, once escaped",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"buy milk","te\u0078t":"@MARK"}@META}}"#,
    ),
    (
        "the same member in another case",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"buy milk"},"Arguments":{"text":"@MARK"}@META}}"#,
    ),
    (
        "half a surrogate pair",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"@MARK \ud83d"}@META}}"#,
    ),
    (
        "a number beyond every range",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"@MARK","priority":1e999}@META}}"#,
    ),
    (
        "arrays nested 150,000 deep",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"@MARK","attachments":@DEEP}@META}}"#,
    ),
    (
        "a byte order mark before the message",
        "\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"add_note\",\"arguments\":{\"text\":\"@MARK\"}@META}}",
    ),
    (
        "a second message behind the first",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"list_notes","arguments":{}@META}}{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"@MARK"}@META}}"#,
    ),
    (
        "a batch of messages",
        r#"[{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"list_notes","arguments":{}@META}},{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"@MARK"}@META}}]"#,
    ),
];
/// Deep enough to run over a stack of 8 MiB.
const DEPTH: usize = 150_000;

pub(super) fn all() -> Vec<Attack> {
    let attack = |(name, message)| {
        Attack::new(
            name,
            Boundary::Client,
            move |stage| Box::pin(bare(stage, message)),
            move |stage| Box::pin(gateway(stage, message)),
        )
    };
    CASES.map(attack).into()
}

fn write(message: &str, mark: &str, era: Option<Era>) -> Vec<u8> {
    let meta = match era {
        Some(Era::Modern) => format!(",\"_meta\":{}", modern_meta()),
        Some(Era::Legacy) | None => String::new(),
    };
    message
        .replace("@MARK", mark)
        .replace("@META", &meta)
        .replace("@DEEP", &("[".repeat(DEPTH) + &"]".repeat(DEPTH)))
        .into_bytes()
}

async fn bare(stage: &Stage, message: &str) -> anyhow::Result<Bare> {
    let mark = stage.mark();
    let mut server = stage.bare(Server::Honest).await?;
    server.send(&write(message, &mark, None)).await?;
    // An ordinary call behind it: once it is answered, so is all before.
    let outcome = server.call("list_files", &serde_json::json!({})).await?;
    if let Heard::Ended(how) = outcome {
        return Ok(Bare::seen(true, format!("crashed: {how}")));
    }
    Ok(Bare::seen(
        stage.noted(Side::Bare, &mark),
        "executed: kept the smuggled note",
    ))
}

async fn gateway(stage: &Stage, message: &str) -> anyhow::Result<Gateway> {
    let name = if message.contains(r#""name":"list_notes""#) {
        "list_notes"
    } else {
        "add_note"
    };
    let alice = stage.endpoint(Who::Alice, Server::Honest)?;

    let mark = stage.mark();
    let body = write(message, &mark, Some(Era::Modern));
    let reply = alice.send(Post::modern(body, "tools/call", name)).await?;
    barrier(stage, Who::Alice, Era::Modern).await?;
    let modern = refused(
        stage,
        &reply,
        handed(stage, &mark) > 0 || stage.noted(Side::Gateway, &mark),
    );

    let mark = stage.mark();
    let body = write(message, &mark, Some(Era::Legacy));
    let reply = alice
        .send(Post::legacy(body, stage.session().await?))
        .await?;
    barrier(stage, Who::Alice, Era::Legacy).await?;
    let legacy = refused(
        stage,
        &reply,
        handed(stage, &mark) > 0 || stage.noted(Side::Gateway, &mark),
    );
    Ok(modern.worst(legacy))
}
