//! Objects by their raw members: read, edited, written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| portcullis_fuzz::mcp::object_edit(input));
