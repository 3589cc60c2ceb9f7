//! The honest sample server: notes, files and web pages. It means well and trusts its arguments, as
//! many real servers do: what the schema does not declare is honoured all the same, a wrong type is
//! made to fit, and a path may lead anywhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::server::{self, Handler};

/// The text that only a reader of the private file sees. Invented, and of no use anywhere.
pub(super) const SECRET: &str = "demo-launch-code-8823-not-real";
/// The text of another person's note.
pub(super) const OTHERS_NOTE: &str = "the spare key is under the third pot";
/// The text of a file beside the folder that may be read.
pub(super) const DIARY: &str = "dear diary, nobody is to read this";
/// The file of the server's directory that holds the notes.
pub(super) const NOTES: &str = "notes.jsonl";

/// The folder of the server's directory that it reads files from.
pub(super) const FILES: &str = "files";
/// The pages that the server finds. They are written by addresses, so that the demonstration asks no name server; the last is
/// where a cloud gives a machine's credentials to whoever asks.
const PAGES: [(&str, &str); 3] = [
    (
        "https://93.184.215.14/",
        "Example Domain. This domain is for use in examples.",
    ),
    (MENU, "Today: leek soup, rye bread, baked apple."),
    (METADATA, CREDENTIALS),
];
/// A page that anybody may read.
pub(super) const MENU: &str = "https://93.184.215.15/menu";
/// The address of a cloud's metadata service, and what it answers here.
pub(super) const METADATA: &str =
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/demo";
pub(super) const CREDENTIALS: &str = "demo-cloud-key-not-real";

/// The server and its directory.
#[derive(Debug)]
pub(super) struct Honest {
    directory: PathBuf,
}

impl Honest {
    /// Makes the sample files and notes in `directory` unless they are there.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory.join(FILES).join("private"))?;
        for (path, text) in [
            (
                "welcome.txt",
                "Welcome. Everything in this folder may be read.\n",
            ),
            ("shopping.txt", "rye bread, apples, lamp oil\n"),
            ("private/launch.txt", SECRET),
            // Beside the folder, not in it.
            ("../diary.txt", DIARY),
        ] {
            seed(&directory.join(FILES).join(path), text)?;
        }
        let note = json!({"owner": "me", "text": "call the dentist"});
        seed(&directory.join(NOTES), &format!("{note}\n"))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    fn notes(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join(NOTES)).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The notes of everyone who uses the server.
    fn everyones_notes(&self) -> Vec<Value> {
        let mut notes = self.notes();
        notes.push(json!({"owner": "bob", "text": OTHERS_NOTE}));
        notes
    }

    fn forget_all(&self) -> io::Result<()> {
        fs::write(self.directory.join(NOTES), "")
    }

    fn call(&self, name: &str, arguments: &Value) -> io::Result<String> {
        let argument = |key: &str| arguments.get(key);
        let owner = argument("as_user").map_or_else(|| "me".to_owned(), plain);
        match name {
            "list_notes" => Ok(texts(&self.everyones_notes(), Some(&owner))),
            "add_note" => {
                let text = argument("text").map(plain).unwrap_or_default();
                let note = json!({
                    "owner": owner, "text": text, "priority": argument("priority"),
                });
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.directory.join(NOTES))?
                    .write_all(format!("{note}\n").as_bytes())?;
                Ok("noted".to_owned())
            }
            "read_note" => {
                let notes = self.everyones_notes();
                let mine =
                    |note: &&Value| note.get("owner").and_then(Value::as_str) == Some(&owner);
                let number = argument("id").and_then(|id| plain(id).parse::<usize>().ok());
                match (
                    argument("id"),
                    number.and_then(|number| number.checked_sub(1)),
                ) {
                    (_, Some(index)) => notes
                        .iter()
                        .filter(mine)
                        .nth(index)
                        .map(|note| texts(std::slice::from_ref(note), None))
                        .ok_or_else(|| io::Error::other("no such note")),
                    // Whatever else came is handed on as a filter, and matches every note.
                    _ => Ok(texts(&notes, None)),
                }
            }
            "delete_note" => match argument("id").and_then(|id| plain(id).parse::<usize>().ok()) {
                Some(number) => {
                    let mut notes = self.notes();
                    if number >= 1 && number <= notes.len() {
                        notes.remove(number - 1);
                    }
                    let left = notes
                        .iter()
                        .map(Value::to_string)
                        .collect::<Vec<_>>()
                        .join("\n");
                    fs::write(self.directory.join(NOTES), left + "\n")?;
                    Ok("deleted".to_owned())
                }
                None => self.forget_all().map(|()| "deleted every note".to_owned()),
            },
            "list_files" => {
                let mut names = fs::read_dir(self.directory.join(FILES))?
                    .map(|entry| {
                        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
                    })
                    .collect::<io::Result<Vec<_>>>()?;
                names.sort();
                Ok(names.join("\n"))
            }
            "read_file" => {
                let path = argument("path").map(plain).unwrap_or_default();
                if path.starts_with("private") && argument("admin") != Some(&Value::Bool(true)) {
                    return Err(io::Error::other("that folder is for administrators"));
                }
                fs::read_to_string(self.directory.join(FILES).join(path))
            }
            "fetch_page" => {
                let url = argument("url").map(plain).unwrap_or_default();
                PAGES
                    .iter()
                    .find(|(address, _)| *address == url)
                    .map(|(_, page)| (*page).to_owned())
                    .ok_or_else(|| io::Error::other("no such page"))
            }
            // Left over from development: on no list, and answered to whoever knows the name.
            "debug_dump" => {
                fs::read_to_string(self.directory.join(FILES).join("private/launch.txt"))
            }
            _ => Err(io::Error::other("unknown tool")),
        }
    }
}

impl Handler for Honest {
    fn handle(&mut self, message: &Value, out: &mut dyn FnMut(Vec<u8>)) {
        if let Some(answers) = server::common("honest", message, &tools()) {
            return answers.into_iter().for_each(out);
        }
        let Some(id) = message.get("id") else { return };
        if message.get("method").is_none() {
            return self.consent(id, message, out);
        }
        match server::call(message) {
            ("erase_notes", _) => out(ask(id)),
            (name, arguments) => out(match self.call(name, &arguments) {
                Ok(text) => server::text(id, &text),
                Err(error) => server::refusal(id, &error.to_string()),
            }),
        }
    }
}

impl Honest {
    /// Takes an answer to [`ask`]: from anyone, at any time, as often as it comes.
    fn consent(&self, id: &Value, message: &Value, out: &mut dyn FnMut(Vec<u8>)) {
        let call = id.as_str().and_then(|id| id.strip_prefix("erase "));
        let Some(call) = call.and_then(|call| serde_json::from_str::<Value>(call).ok()) else {
            return;
        };
        let agreed = message.pointer("/result/content/confirm") == Some(&Value::Bool(true));
        out(match agreed.then(|| self.forget_all()) {
            Some(Ok(())) => server::text(&call, "erased every note"),
            Some(Err(error)) => server::refusal(&call, &error.to_string()),
            None => server::text(&call, "kept every note"),
        });
    }
}

/// The question whether to erase; its id tells which call waits for the answer.
fn ask(call: &Value) -> Vec<u8> {
    json!({
        "jsonrpc": "2.0", "id": format!("erase {call}"), "method": "elicitation/create",
        "params": {
            "message": "Erase every note?",
            "requestedSchema": {
                "type": "object",
                "properties": {"confirm": {"type": "boolean", "title": "Erase"}},
                "required": ["confirm"],
            },
        },
    })
    .to_string()
    .into_bytes()
}

fn seed(path: &Path, text: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn texts(notes: &[Value], owner: Option<&str>) -> String {
    notes
        .iter()
        .filter(|note| owner.is_none_or(|owner| note.get("owner").is_some_and(|of| of == owner)))
        .filter_map(|note| note.get("text").and_then(Value::as_str))
        .collect::<Vec<_>>()
        .join("\n")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn tools() -> Value {
    let tool = |name: &str, description: &str, properties: Value, required: Value| {
        json!({
            "name": name,
            "description": description,
            "inputSchema": {"type": "object", "properties": properties, "required": required},
        })
    };
    json!([
        tool("list_notes", "Lists your notes.", json!({}), json!([])),
        tool(
            "add_note",
            "Keeps a note.",
            json!({
                "text": {"type": "string", "maxLength": 2000},
                "priority": {"type": "number"},
                "attachments": {"type": "array"},
            }),
            json!(["text"]),
        ),
        tool(
            "read_note",
            "Shows one of your notes, by its number from 1.",
            json!({"id": {"type": "integer", "minimum": 1}}),
            json!(["id"]),
        ),
        tool(
            "delete_note",
            "Deletes a note, by its number from 1.",
            json!({"id": {"type": "integer", "minimum": 1}}),
            json!(["id"]),
        ),
        tool(
            "erase_notes",
            "Erases every note, once you agree.",
            json!({}),
            json!([])
        ),
        tool(
            "list_files",
            "Lists the folder's files.",
            json!({}),
            json!([])
        ),
        tool(
            "read_file",
            "Reads a file.",
            json!({"path": {"type": "string"}}),
            json!(["path"])
        ),
        tool(
            "fetch_page",
            "Fetches a page.",
            json!({"url": {"type": "string"}}),
            json!(["url"])
        ),
    ])
}
