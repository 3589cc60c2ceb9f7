//! The words that names of tools and arguments are made of.

pub(super) const URL: &[&str] = &[
    "url", "urls", "uri", "uris", "link", "links", "href", "webhook", "endpoint", "website",
];
pub(super) const STORE: &[&str] = &["s3", "gs", "gcs"];
pub(super) const COMMAND: &[&str] = &[
    "command",
    "commands",
    "cmd",
    "argv",
    "shell",
    "command line",
];
pub(super) const SQL: &[&str] = &[
    "sql",
    "sql query",
    "statement",
    "sql statement",
    "query sql",
    "raw sql",
    "select query",
];
pub(super) const QUERY: &[&str] = &["query", "queries", "q"];
pub(super) const DATABASE: &[&str] = &[
    "sql",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "sqlite",
    "mssql",
    "database",
    "select",
];
pub(super) const PATH: &[&str] = &[
    "path",
    "paths",
    "file",
    "files",
    "filename",
    "filenames",
    "filepath",
    "filepaths",
    "dir",
    "dirs",
    "directory",
    "directories",
    "folder",
    "folders",
    "cwd",
    "workdir",
    "dirname",
];
/// What a path is called only by a tool that moves files.
pub(super) const ENDS: &[&str] = &[
    "source",
    "destination",
    "src",
    "dst",
    "dest",
    "target",
    "from",
    "to",
];
pub(super) const MOVES: &[&str] = &["move", "copy", "rename", "file", "directory", "link"];
/// Things that are moved and are no files.
pub(super) const REMOTE: &[&str] = &[
    "issue", "card", "email", "message", "label", "object", "page",
];
pub(super) const READS: &[&str] = &[
    "read", "get", "list", "search", "find", "view", "show", "stat", "info", "tree", "status",
    "diff", "log", "describe", "load",
];
pub(super) const WRITES: &[&str] = &[
    "write", "edit", "create", "update", "delete", "remove", "move", "rename", "save", "set",
    "put", "upload", "download", "run", "execute",
];
pub(super) const MAIL: &[&str] = &["email", "mail", "gmail", "smtp", "invite"];
pub(super) const EMAIL: &[&str] = &["email", "emails", "mail"];
pub(super) const RECIPIENT: &[&str] = &[
    "to",
    "cc",
    "bcc",
    "recipient",
    "recipients",
    "sender",
    "from",
];
pub(super) const DOMAIN: &[&str] = &["domain", "domains", "hostname", "host", "hosts", "fqdn"];
/// What is handed to version control and package managers.
pub(super) const REFERENCE: &[&str] = &[
    "branch",
    "ref",
    "refs",
    "revision",
    "rev",
    "commit",
    "sha",
    "tag",
    "tags",
    "target",
    "owner",
    "repo",
    "repository",
    "package",
    "base",
    "head",
    "namespace",
    "remote",
];
pub(super) const FREE: &[&str] = &[
    "content",
    "contents",
    "body",
    "text",
    "message",
    "description",
    "comment",
    "prompt",
    "thought",
    "code",
    "script",
    "html",
    "markdown",
    "summary",
    "notes",
    "data",
    "input",
];
pub(super) const IDENTIFIER: &[&str] = &[
    "name", "id", "ids", "key", "title", "label", "labels", "type", "timezone", "channel", "user",
];
pub(super) const COUNT: &[&str] = &[
    "limit", "count", "max", "maximum", "size", "page", "timeout", "depth", "retries", "top",
    "length", "number", "offset",
];

/// The words of a name in lower case: `repoPath`, `repo_path` and `Repo path` have the same.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = vec![String::new()];
        let mut was_lower = false;
        for char in text.chars().take(4096) {
            let begins = char.is_uppercase() && was_lower;
            if (begins || !char.is_alphanumeric())
                && words.last().is_some_and(|word| !word.is_empty())
            {
                words.push(String::new());
            }
            if char.is_alphanumeric()
                && let Some(word) = words.last_mut()
            {
                word.extend(char.to_lowercase());
            }
            was_lower = char.is_lowercase();
        }
        words.retain(|word| !word.is_empty());
        Self(words)
    }

    /// Whether any of `list` is among the words.
    pub(super) fn has(&self, list: &[&str]) -> bool {
        self.0.iter().any(|word| list.contains(&word.as_str()))
    }

    /// Whether the last word, which in English says what the thing is, is one of `list`.
    pub(super) fn ends_in(&self, list: &[&str]) -> bool {
        self.0
            .last()
            .is_some_and(|word| list.contains(&word.as_str()))
    }

    /// Whether the words together are one of `list`.
    pub(super) fn is_one_of(&self, list: &[&str]) -> bool {
        list.contains(&self.0.join(" ").as_str())
    }
}
