//! The table `tool_definitions`: what each server last defined.

use rusqlite::params;

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// A tool as its server last defined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionRow {
    /// The configured name of the server.
    pub server: String,
    /// The server's own name of the tool.
    pub tool: String,
    /// The entry of `tools/list`, as it came.
    pub definition: Vec<u8>,
    /// When it was last seen, in Unix milliseconds.
    pub seen_ms: u64,
}

/// What servers last defined.
#[derive(Clone, Copy, Debug)]
pub struct Definitions<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl Definitions<'_> {
    /// Replaces what is known of a server: each tool's name and definition.
    pub async fn replace(
        self,
        server: String,
        tools: Vec<(String, Vec<u8>)>,
        now_ms: u64,
    ) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM tool_definitions WHERE server = ?1")?
                    .execute([&server])?;
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO tool_definitions VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (tool, definition) in &tools {
                    insert.execute(params![server, tool, definition, integer(now_ms)])?;
                }
                Ok(())
            })
            .await
    }

    /// Everything that is known, by server and tool.
    pub async fn all(self) -> Result<Vec<DefinitionRow>, ReadError> {
        self.readers
            .run(|connection| {
                let mut statement = connection
                    .prepare_cached("SELECT * FROM tool_definitions ORDER BY server, tool")?;
                let rows = statement.query_map([], |row| {
                    Ok(DefinitionRow {
                        server: row.get("server")?,
                        tool: row.get("tool")?,
                        definition: row.get("definition")?,
                        seen_ms: row.get::<_, i64>("seen_ms")?.unsigned_abs(),
                    })
                })?;
                rows.collect()
            })
            .await
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
