//! The security gateway for the Model Context Protocol.
fn main() {}
