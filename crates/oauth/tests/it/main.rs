#![cfg(test)]
//! OAuth through its public face.

mod account_end;
mod client_connect;
mod client_flows;
mod client_grants;
mod client_refusals;
mod client_support;
mod login_links;
mod login_lockout;
mod login_pages;
mod login_password;
mod login_provider;
mod login_second_factor;
mod login_support;
mod server_flow;
mod verifier_api_keys;
mod verifier_dpop;
mod verifier_introspection;
mod verifier_keys;
mod verifier_record;
mod verifier_support;
mod verifier_tokens;
