//! Standard input and output: newline-delimited messages, with the refusal of the other era.

use rmcp::{ServiceExt as _, service::ServerInitializeError};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream, Stdin, duplex,
    split, stdin, stdout,
};

use crate::{
    era::{Envelope, Era},
    fixture::Fixture,
};

const PIPE_BYTES: usize = 1 << 16;

/// Serves one client until it closes standard input.
///
/// # Errors
///
/// The first message is no opening of a conversation, or a pipe breaks.
pub(crate) async fn serve(fixture: Fixture) -> anyhow::Result<()> {
    let era = fixture.era();
    let (near, far) = duplex(PIPE_BYTES);
    let (answers, mut requests) = split(near);
    let (refusals, refused) = duplex(PIPE_BYTES);
    let outward = tokio::spawn(merge(answers, refused));
    let inward = tokio::spawn(async move { filter(era, &mut requests, refusals).await });
    match fixture.for_session().serve(split(far)).await {
        Ok(running) => drop(running.waiting().await?),
        // The client left before its conversation was a conversation.
        Err(ServerInitializeError::ConnectionClosed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    inward.await??;
    outward.await??;
    Ok(())
}

/// Hands each line on, except those that the era refuses.
async fn filter(
    era: Era,
    requests: &mut (impl AsyncWrite + Unpin),
    mut refusals: DuplexStream,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stdin() as Stdin).lines();
    while let Some(mut line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        line.push('\n');
        match era.refuse(&message, Envelope::default()) {
            Some(refusal) => {
                let text = format!("{}\n", refusal.body);
                refusals.write_all(text.as_bytes()).await?;
            }
            None => requests.write_all(line.as_bytes()).await?,
        }
    }
    requests.shutdown().await
}

/// Writes the lines of both streams to standard output, each line whole.
async fn merge(
    answers: tokio::io::ReadHalf<DuplexStream>,
    refused: DuplexStream,
) -> std::io::Result<()> {
    let mut out = stdout();
    let mut answers = BufReader::new(answers).lines();
    let mut refused = BufReader::new(refused).lines();
    let (mut answering, mut refusing) = (true, true);
    while answering || refusing {
        let line = tokio::select! {
            line = answers.next_line(), if answering => {
                let line = line?;
                answering = line.is_some();
                line
            }
            line = refused.next_line(), if refusing => {
                let line = line?;
                refusing = line.is_some();
                line
            }
        };
        if let Some(line) = line {
            out.write_all(format!("{line}\n").as_bytes()).await?;
            out.flush().await?;
        }
    }
    Ok(())
}
