//! Header values and header annotations of tool schemas.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| portcullis_fuzz::mcp::header_value(input));
