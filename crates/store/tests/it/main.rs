#![cfg(test)]
//! The store through its public face.

mod auth_events;
mod calls;
mod faults;
