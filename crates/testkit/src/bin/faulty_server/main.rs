//! `faulty-server`: an MCP server that goes wrong in one chosen way.
//!
//! It answers a handshake, a discovery and a tool list as it should, in both eras, and shows its
//! fault in tool calls. Its messages are written by hand, so that they can be wrong.

mod fault;
mod front;
mod stdio;

use std::net::SocketAddr;

use clap::Parser;

use crate::fault::Fault;

/// An MCP server with one fault.
#[derive(Debug, Parser)]
#[command(name = "faulty-server")]
struct Arguments {
    /// Serve HTTP at this address, port 0 for any, and print `listening <url>`; without it, serve
    /// standard input and output.
    #[arg(long)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    fault: Fault,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    arguments.fault.begin();
    match arguments.listen {
        Some(address) => front::serve(arguments.fault, address).await,
        None => stdio::serve(arguments.fault).await,
    }
}
