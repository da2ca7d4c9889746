//! Rules of the project's files: which module may import which, the length of files, and that the documentation agrees
//! with the code.
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/levels.rs"]
mod levels;
#[path = "tidy/log_directives.rs"]
mod log_directives;
#[path = "tidy/references.rs"]
mod references;
#[path = "tidy/security.rs"]
mod security;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tokens.rs"]
mod tokens;
