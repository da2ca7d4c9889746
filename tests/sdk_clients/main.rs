//! Widely used clients before the proxy: their own parsing, retries, challenges and TLS.
//!
//! `tests/sdk_clients/prepare` installs the clients into `target/clients`, about 400 MB. Therefore these tests have their
//! own feature (`make test-clients` does both):
//!
//! ```text
//! tests/sdk_clients/prepare && cargo test --features test-clients --test sdk_clients
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as expected"
)]

#[path = "../common/mod.rs"]
mod common;
mod curl;
mod dotnet;
mod harness;
mod java;
mod powershell;
mod snippets;

use harness::{World, installed, require, script};

#[tokio::test]
async fn the_python_sdk_reads_flows_through_the_cache() {
    let python = installed().join("venv/bin/python");
    require(&python);
    let world = World::start().await;
    let mut command = world.command(python);
    command.arg(script("python_sdk.py"));
    world.play(command).await;
    world.stop().await;
}

#[tokio::test]
async fn the_javascript_client_reads_flows_through_the_cache() {
    require(&installed().join("js/node_modules/@microsoft/microsoft-graph-client"));
    let world = World::start().await;
    let mut command = world.command("node");
    command.arg(script("js_client.mjs"));
    world.play(command).await;
    world.stop().await;
}
