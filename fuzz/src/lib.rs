//! What the fuzz targets assert: the same functions that the crates' own tests drive with generated
//! input, so that what fuzzing finds becomes a test without being written anew.

#[path = "../../crates/mcp/tests/it/invariants.rs"]
pub mod mcp;
