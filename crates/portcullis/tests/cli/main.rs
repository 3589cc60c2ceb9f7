//! The commands as somebody meets them in a shell: the real binary, its output and its exit codes.
#![cfg(test)]

mod auth;
mod check;
mod client;
mod completions;
mod events;
mod examples;
mod gateway;
mod help;
mod keys;
mod place;
mod policy;
mod reload;
mod run;
mod secret;
mod state;
mod stdio;
mod suggest;
mod token;
mod user;
