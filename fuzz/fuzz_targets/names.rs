//! Server names and federated names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| portcullis_fuzz::mcp::names(input));
