//! The rules that the project's files keep, executed: what may import what, how long a file may be, and that
//! the README says what the code does.
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/levels.rs"]
mod levels;
#[path = "tidy/readme.rs"]
mod readme;
#[path = "tidy/security.rs"]
mod security;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tokens.rs"]
mod tokens;
