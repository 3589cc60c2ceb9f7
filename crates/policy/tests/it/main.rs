#![cfg(test)]
//! What policies decide, through the public face.

mod decisions;
mod mistakes;
mod oddities;
mod offers;
mod presets;
mod properties;
mod waiting;

mod support;
