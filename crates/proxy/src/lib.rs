//! Moves messages between MCP clients and MCP servers, in both eras of the protocol; decides nothing.
//!
//! A message comes in through [`Gateway`] (HTTP) or [`serve_stdio`], is authenticated, decoded and
//! handed to the pipeline; only what the pipeline has authorized reaches [`upstream`], and only
//! what it has checked on the way back reaches the client. The differences between the eras are
//! settled in `bridge`, the differences between one server and several in `federation`.

mod access;
mod asking;
mod authenticate;
mod body;
mod bridge;
mod caller;
mod calls;
mod clock;
pub mod config;
mod dispatch;
mod endpoint;
mod federation;
mod guard;
mod handles;
mod hello;
mod janitor;
mod legacy;
mod link;
mod listen;
mod listener;
mod lists;
mod modern;
mod outbound;
mod peer;
mod reply;
mod route;
mod running;
mod runtime;
mod seal;
mod session;
mod stdio;
mod stream;
mod tokens;
pub mod units;
pub mod upstream;

pub use access::Access;
pub use asking::{APPROVALS_SCOPE, AskAt, Asking, InvalidWebhook, Terminal, Webhook};
pub use clock::Clock;
pub use listener::{Bound, Drained, Gateway};
pub use route::Route;
pub use runtime::{BuildError, Parts, Runtime};
pub use stdio::serve_stdio;
