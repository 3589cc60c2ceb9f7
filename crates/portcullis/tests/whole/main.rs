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
#[path = "../it/record.rs"]
mod record;
#[path = "../it/reload.rs"]
mod reload;
#[path = "../it/bridge.rs"]
mod bridge;
