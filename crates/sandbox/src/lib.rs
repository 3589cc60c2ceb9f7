//! Starts local servers in a process group of their own and ends them with the gateway.
