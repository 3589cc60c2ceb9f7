//! Decides on each message by an ordered list of checks; opens no socket.
