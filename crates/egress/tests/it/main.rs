//! The clients and the door, against servers on loopback.
#![cfg(test)]

mod door_calls;
mod door_caps;
mod door_capture;
mod door_connect;
mod door_names;
mod door_plain;
mod door_reload;
mod door_support;
mod exchange;
mod reach;
mod rebinding;
mod ssrf;
mod ssrf_notations;
mod support;
mod tls;
