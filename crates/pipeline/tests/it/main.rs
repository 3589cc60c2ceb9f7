#![cfg(test)]
//! The pipeline through its public face.

mod closed;
mod denials;
mod hostile;
mod oracle;
mod record;
mod suite;
