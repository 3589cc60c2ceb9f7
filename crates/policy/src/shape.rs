//! What is known of servers: the definitions that policies are checked against.

use std::sync::Arc;

use portcullis_mcp::ServerName;

/// A server and what it offers.
#[derive(Clone, Debug)]
pub struct ServerShape {
    /// The operator's name for it.
    pub name: ServerName,
    /// Its tools. Of two with one name the second is ignored: no list gives it out either.
    pub tools: Vec<ToolShape>,
    /// The names of its prompts, when they are known: then a policy that names another does not load.
    pub prompts: Option<Vec<Box<str>>>,
}

/// A tool's definition, as far as policies can speak of it.
#[derive(Clone, Debug)]
pub struct ToolShape {
    /// Its name on the server.
    pub name: Box<str>,
    /// Its `inputSchema`, JSON text. What is no object schema leaves all arguments untyped.
    pub input_schema: Arc<[u8]>,
    /// Its annotations: what the server says of it, which need not be true.
    pub annotations: Hints,
    /// The operator's classes of it.
    pub classes: Vec<String>,
    /// The labels of what it returns.
    pub labels: Vec<String>,
}

/// `annotations` of a tool definition; `None` is unsaid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`; false when unsaid.
    pub read_only: Option<bool>,
    /// `destructiveHint`; when unsaid, true unless the tool is read-only.
    pub destructive: Option<bool>,
    /// `idempotentHint`; false when unsaid.
    pub idempotent: Option<bool>,
    /// `openWorldHint`; true when unsaid.
    pub open_world: Option<bool>,
}

/// The lower-case words of a tool's name: cut where a letter or digit ends and before a capital
/// that follows a small letter, so that `deleteFile` and `delete_file` are both `delete`, `file`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_small) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        after_small = c.is_lowercase() || c.is_ascii_digit();
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[cfg(test)]
mod tests;
