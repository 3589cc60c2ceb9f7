//! The reference of denials is generated, and up to date.

use std::fmt::Write as _;
use std::path::Path;

use portcullis_pipeline::Denial;

#[test]
fn the_reference_is_up_to_date() {
    let mut text = String::from(
        "# Denials\n\n\
         When a check refuses a message, the caller gets a code, one sentence and the request's\n\
         identifier; the record of the call holds the same code. Codes are stable.\n\n\
         <!-- Generated from `crates/pipeline/src/denial.rs` by `UPDATE=1 cargo test -p portcullis-pipeline denials`. -->\n\n\
         | Code | Meaning |\n|---|---|\n",
    );
    for (code, meaning) in Denial::codes() {
        writeln!(text, "| `{code}` | {meaning} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/denials.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, text,
        "run `UPDATE=1 cargo test -p portcullis-pipeline denials`"
    );
}
