//! The gateway as its clients and servers meet it: the real binary, over sockets and pipes.
#![cfg(test)]

mod attacks;
mod authentication;
mod cancel;
mod credentials;
mod endpoint;
mod exposure;
mod handles;
mod legacy;
mod limits;
mod mirror;
mod origin;
mod session;
mod strictness;
mod support;
mod tls;
