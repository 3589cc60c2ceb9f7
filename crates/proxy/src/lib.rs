//! Moves messages between clients and servers; decides nothing.
