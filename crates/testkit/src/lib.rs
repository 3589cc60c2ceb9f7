//! Fake servers and clients and fixtures for the tests.
