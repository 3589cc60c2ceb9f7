//! The event stream decoder, in chunks of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| portcullis_fuzz::mcp::sse_bytes(input));
