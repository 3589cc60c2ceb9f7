//! Local servers, started by a real guard.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod end;
mod many;
mod start;
mod support;
