//! The clients, against servers on loopback.
#![cfg(test)]

mod exchange;
mod reach;
mod support;
mod tls;
