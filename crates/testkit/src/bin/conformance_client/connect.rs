//! What stands for a person who connects the gateway to a server.

use std::error::Error;

use anyhow::ensure;

/// The code of an answer that wants a connection first.
const WANTED: &str = "connect-required";
/// Connections that one request is worth.
const CONNECTS_MAX: u32 = 6;

/// A command that makes the connection.
#[derive(Debug)]
pub(crate) struct Person {
    command: Vec<String>,
}

impl Person {
    /// Reads a JSON array of the command's words.
    ///
    /// # Errors
    ///
    /// It is none, or empty.
    pub(crate) fn parse(json: &str) -> anyhow::Result<Self> {
        let command: Vec<String> = serde_json::from_str(json)?;
        ensure!(!command.is_empty(), "the command has no words");
        Ok(Self { command })
    }

    /// Makes a request, and again each time a connection was wanted and made.
    ///
    /// # Errors
    ///
    /// The request's own, or the connection could not be made.
    pub(crate) async fn asked<T, E: Error + Send + Sync + 'static>(
        person: Option<&Self>,
        request: impl AsyncFn() -> Result<T, E>,
    ) -> anyhow::Result<T> {
        for _ in 0..CONNECTS_MAX {
            match (request().await, person) {
                (Err(error), Some(person)) if format!("{error:?}").contains(WANTED) => {
                    person.connect().await?;
                }
                (result, _) => return Ok(result?),
            }
        }
        Ok(request().await?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the command is the gateway under test"
    )]
    async fn connect(&self) -> anyhow::Result<()> {
        let mut words = self.command.iter();
        let program = words.next().map(String::as_str).unwrap_or_default();
        let status = tokio::process::Command::new(program)
            .args(words)
            .status()
            .await?;
        ensure!(status.success(), "no connection was made: {status}");
        Ok(())
    }
}
