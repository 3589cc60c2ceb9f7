//! The one way out: resolves, checks and dials addresses.
