#![cfg(test)]
//! OAuth through its public face.

mod client_connect;
mod client_flows;
mod client_grants;
mod client_refusals;
mod client_support;
mod verifier_api_keys;
mod verifier_dpop;
mod verifier_introspection;
mod verifier_keys;
mod verifier_record;
mod verifier_support;
mod verifier_tokens;
