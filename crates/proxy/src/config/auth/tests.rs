use portcullis_oauth::client::settings::{ClientIdentity, ClientProof, ServerAuth, SubjectToken};

use super::{Auth, InvalidAuth};

const URL: &str = "https://tracker.example/mcp";

fn read(json: serde_json::Value) -> Auth {
    serde_json::from_value(json).unwrap()
}
