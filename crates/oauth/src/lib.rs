//! The authorization server, the verifier of tokens, and the OAuth client toward servers.
//!
//! One crate knows JWT, accounts, consents and credentials. It opens no socket of its own: what it fetches leaves through
//! `egress`, and what it serves is handed to it by `proxy`, as a whole request for a whole response. Time is an argument
//! everywhere, in Unix milliseconds.

pub mod account;
pub mod api_key;
pub mod challenge;
pub mod client;
pub mod dpop;
pub mod form;
pub mod identity;
mod introspection;
pub mod issuer;
mod jwks;
pub mod jwt;
pub mod lockout;
pub mod login;
pub mod metadata;
pub mod page;
pub mod password;
pub mod provider;
pub mod resource;
pub mod scope;
pub mod secret;
pub mod secrets;
pub mod server;
pub mod totp;
pub mod vault;
pub mod verifier;
