#![cfg(test)]
//! OAuth through its public face.

mod verifier_api_keys;
mod verifier_dpop;
mod verifier_introspection;
mod verifier_keys;
mod verifier_record;
mod verifier_support;
mod verifier_tokens;
