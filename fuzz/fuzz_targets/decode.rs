//! The message decoder and encoders, against another JSON parser.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| portcullis_fuzz::mcp::decode_bytes(input));
