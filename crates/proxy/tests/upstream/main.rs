//! Connections to servers of every transport and era, against peers that behave well and badly.
#![cfg(test)]

mod detection;
mod legacy_http;
mod modern_http;
mod peer;
mod sse_2024;
mod stdio;
mod support;
