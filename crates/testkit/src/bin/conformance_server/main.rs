//! `conformance-server`: an MCP server that offers every tool, prompt and resource the official
//! conformance suite asks a server for.
//!
//! It speaks Streamable HTTP or stdio, and one era of the protocol or both, so that a gateway can
//! be measured in front of each kind of server. It decides nothing and protects nothing.

mod asking;
mod catalogue;
mod era;
mod fixture;
mod front;
mod plain;
mod prompts;
mod resources;
mod script;
mod skills;
mod stdio;
mod tasks;
mod watchers;

use std::net::SocketAddr;

use clap::Parser;

use crate::{era::Era, fixture::Fixture};

/// An MCP server with the fixtures of the conformance suite.
#[derive(Debug, Parser)]
#[command(name = "conformance-server")]
struct Arguments {
    /// Serve Streamable HTTP at this address, port 0 for any; prints `listening <url>`.
    #[arg(long, default_value = "127.0.0.1:0", conflicts_with = "stdio")]
    listen: SocketAddr,
    /// Serve one client on standard input and output.
    #[arg(long)]
    stdio: bool,
    /// Which eras of the protocol to speak.
    #[arg(long, value_enum, default_value_t = Era::Both)]
    eras: Era,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let fixture = Fixture::new(arguments.eras);
    if arguments.stdio {
        stdio::serve(fixture).await
    } else {
        front::serve(fixture, arguments.listen).await
    }
}
