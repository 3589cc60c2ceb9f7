//! Tests of the crate from outside, one file a behaviour.
#![cfg(test)]

mod client_connect;
mod client_flows;
mod client_grants;
mod client_refusals;
mod client_support;
