//! One attack a file: it works against the bare server, and fails through the gateway.

mod credential_theft;
mod event_injection;
mod open_door;
mod oversized_body;
mod parser_differential;
mod rebound_page;
mod session_hijack;
mod slow_head;
mod split_brain;
mod state_replay;
mod task_theft;
