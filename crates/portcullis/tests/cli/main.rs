//! The commands as somebody meets them in a shell: the real binary, its output and its exit codes.
#![cfg(test)]

mod check;
mod completions;
mod examples;
mod help;
mod place;
