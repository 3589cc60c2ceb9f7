//! Behaviour of the protocol crate, seen from outside.
#![cfg(test)]

mod corpus;
mod differential;
mod grammar;
#[expect(
    unreachable_pub,
    reason = "the fuzz targets include this file in a library"
)]
mod invariants;
mod properties;
mod speed;
