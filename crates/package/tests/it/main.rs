//! Behaviour of the crate as its users see it: real npm, uv and pip, against a registry of the test's
//! own on the loopback interface.
#![cfg(test)]

mod npm_changes;
mod npm_failures;
mod npm_install;
mod python_install;
mod support;
