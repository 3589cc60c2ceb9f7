//! The authorization server, the verifier of tokens, and the OAuth client toward servers.
