//! Attacks on the admin port: connections that block it, and requests that pass for local ones.
