//! The gateway as its clients and servers meet it: the real binary, over sockets and pipes.
#![cfg(test)]

mod attacks;
mod authentication;
mod bridge;
mod cancel;
mod credentials;
mod demo;
mod endpoint;
mod exposure;
mod failure;
mod federation;
mod gateway;
mod handles;
mod legacy;
mod limits;
mod mirror;
mod oauth;
mod origin;
mod record;
mod reload;
mod scripted;
mod session;
mod shutdown;
mod strictness;
mod support;
mod tls;
mod upstream_auth;
mod upstream_auth_asks;
