#![cfg(test)]
//! The store through its public face.

mod approvals;
mod auth_events;
mod calls;
mod faults;
