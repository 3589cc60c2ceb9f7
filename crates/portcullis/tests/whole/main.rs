//! Temporary.
#![cfg(test)]

#[path = "../it/federation.rs"]
mod federation;
#[path = "../it/gateway.rs"]
mod gateway;
#[path = "../it/scripted.rs"]
mod scripted;
#[path = "../it/failure.rs"]
mod failure;
#[path = "../it/shutdown.rs"]
mod shutdown;
