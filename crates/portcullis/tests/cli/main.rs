//! The commands as somebody meets them in a shell: the real binary, its output and its exit codes.
#![cfg(test)]

mod auth;
mod check;
mod client;
mod completions;
mod examples;
mod gateway;
mod help;
mod place;
mod reload;
mod run;
mod stdio;
