#![cfg(test)]
//! Constraints through their public face.

mod command;
mod corpus;
mod infer;
mod names;
mod path;
mod pointer;
mod presets;
mod properties;
mod sql;
mod support;
mod text;
mod url;
