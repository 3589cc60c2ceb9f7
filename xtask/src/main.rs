//! Sets up and runs everything that is checked before a change lands.
fn main() {}
