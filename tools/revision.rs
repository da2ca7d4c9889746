//! Build script: sets the commit of the source for `--version`, the metric `build_info` and the start line of the log.
//!
//! `CONNECTOR_CACHE_REVISION` wins, since the build of an image has no git directory. A debug build has no commit: cargo
//! would compile the library again after each commit.

#![allow(clippy::print_stdout, reason = "cargo reads the output")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=CONNECTOR_CACHE_REVISION");
    println!("cargo:rerun-if-changed=tools/revision.rs");
    let given = std::env::var("CONNECTOR_CACHE_REVISION").ok().filter(|revision| !revision.is_empty());
    let optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = given.or_else(|| if optimised { commit() } else { None });
    println!("cargo:rustc-env=CONNECTOR_CACHE_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// Returns the commit of the checkout, with `-dirty` after it if a tracked file differs.
fn commit() -> Option<String> {
    for file in ["HEAD", "index"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let revision = git(&["rev-parse", "HEAD"])?;
    // `git describe --dirty` writes the index, so that the next build would run this script and compile the library again.
    let changes = git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
    Some(if changes.is_some() { format!("{revision}-dirty") } else { revision })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
