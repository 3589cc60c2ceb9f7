#![cfg(test)]
//! The store through its public face.

mod calls;
mod faults;
