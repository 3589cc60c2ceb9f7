//! Standard input and output: a line a message, each answered when it is ready.

use std::{process, sync::Arc};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    sync::Mutex,
    task::JoinSet,
};

use crate::fault::{Fault, Reaction};

/// Serves until standard input ends and all calls but the silent ones are answered.
///
/// # Errors
///
/// A pipe breaks.
pub(crate) async fn serve(fault: Fault) -> anyhow::Result<()> {
    let fault = Arc::new(fault);
    let out = Arc::new(Mutex::new(stdout()));
    let mut calls = JoinSet::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        let (fault, out) = (Arc::clone(&fault), Arc::clone(&out));
        calls.spawn(async move {
            let text = match fault.react(&message).await {
                Reaction::Nothing | Reaction::Silence => return Ok(()),
                Reaction::Message(_, text) => text + "\n",
                Reaction::Noise(noise, text) => format!("{}\n{text}\n", noise.join("\n")),
                Reaction::Crash => process::exit(1),
            };
            let mut out = out.lock().await;
            out.write_all(text.as_bytes()).await?;
            out.flush().await
        });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(())
}
