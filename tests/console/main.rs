//! The console in a real browser: `browser.mjs` drives Chromium before the binary.

#![allow(clippy::print_stdout, reason = "the figures are for the reader of the output")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the browser: the variable `CHROMIUM`, or Debian's package.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let debian = Path::new("/usr/bin/chromium").to_owned();
    named.or(Some(debian)).filter(|path| path.exists())
}

#[test]
fn the_console_shows_load_throttles_and_purges_in_a_browser_without_findings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(browser) = browser() else {
        eprintln!("chromium is not installed, so the console was not tried. Debian: the package chromium");
        return;
    };
    let modules = root.join("target/console/node_modules");
    assert!(modules.exists(), "run tests/console/prepare first");
    let pictures = root.join("target/console-pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let mut command = Command::new("node");
    command.arg(root.join("tests/console/browser.mjs"));
    command.arg(env!("CARGO_BIN_EXE_connector-cache")).arg(pictures).env("CHROMIUM", browser);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 12, "{text}");
    // The figures of docs/console.md.
    print!("{text}");
}
