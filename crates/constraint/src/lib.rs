//! Typed constraints on the arguments of tool calls.
