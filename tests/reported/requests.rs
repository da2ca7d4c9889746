//! Requests that Graph accepts.
