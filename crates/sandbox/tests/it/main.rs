//! Local servers, started by a real guard.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod attempts;
mod confined;
mod confined_end;
mod doors;
mod end;
mod hostile;
mod many;
mod stage;
mod start;
mod support;
