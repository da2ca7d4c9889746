//! argv to exit code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use connector_cache::app;
use connector_cache::app::descriptors;
use connector_cache::app::reload::LiveSources;
use connector_cache::config::{Config, ConfigError, Effective, Sources};
use connector_cache::observability::{hardening, logging};
use connector_cache::server::{LEFTOVERS, Workers};

/// Quicker than the C library's, and it gives memory back: `benches/README.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A caching proxy in front of Microsoft Graph, for the API connector configuration of user flows.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy before a built-in stand-in for Graph; nothing else is needed.
    #[cfg(feature = "demo")]
    Demo,
    /// Run the proxy.
    Serve(Source),
    /// Validate the configuration and print it, with the source of each value.
    Check(Source),
}

#[derive(Debug, clap::Args)]
struct Source {
    /// A TOML file. Without one: the built-in defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Err(error) = hardening::harden() {
        return fail(START, &format!("the process cannot be shielded from core dumps: {error}"));
    }
    // Where the kernel knows no other pages it says so, and that is what is wanted.
    let _ = hardening::small_pages();
    // Where that is refused, fewer connections fit, and the log says so.
    let _ = descriptors::raise_limit();
    logging::panic_hook();
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(said) => {
            // Help and version are errors too, of a kind that goes to standard output.
            let code = if said.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            if said.print().is_ok() { code } else { ExitCode::from(START) }
        }
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo => start(&app::demo::config(), app::demo::run),
        Command::Serve(Source { config: file }) => {
            let sources = Sources::new(file, environment());
            match sources.load() {
                Ok(started) => {
                    let config = started.config.clone();
                    start(&config, |log, workers| app::serve(LiveSources { sources, started }, log, workers))
                }
                Err(error) => refuse(&error),
            }
        }
        Command::Check(Source { config: file }) => check(file.as_deref()),
    }
}

fn check(file: Option<&Path>) -> ExitCode {
    match Effective::load(file, environment()) {
        Ok(effective) => match write!(std::io::stdout(), "{effective}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(START, &format!("the configuration cannot be printed: {error}")),
        },
        Err(error) => refuse(&error),
    }
}

/// Sets up log and threads, and hands over to `serve` until it ends.
fn start<F: Future<Output = ExitCode>>(
    config: &Config,
    serve: impl FnOnce(logging::LogHandle, Workers) -> F,
) -> ExitCode {
    let (_guard, log) = match logging::init(&config.telemetry) {
        Ok(log) => log,
        Err(error) => return fail(START, &format!("the log cannot be set up: {error}")),
    };
    // Counts the quota of the control group, as a container has it.
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = Workers::start(config.server.threads.unwrap_or_else(cores));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ((workers, threads), runtime) = match threads.and_then(|threads| Ok((threads, runtime?))) {
        Ok(started) => started,
        Err(error) => return fail(START, &format!("the threads cannot be started: {error}")),
    };
    let code = runtime.block_on(serve(log, workers));
    // All at the same time.
    threads.end();
    runtime.shutdown_timeout(LEFTOVERS);
    code
}

/// The environment. What is not Unicode becomes U+FFFD, so that a variable of ours is not overlooked.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn refuse(error: &ConfigError) -> ExitCode {
    fail(USAGE, &format!("the configuration is refused:\n{error}"))
}

fn fail(code: u8, message: &str) -> ExitCode {
    // The exit code says it too, should nobody read this.
    let _ = writeln!(std::io::stderr(), "connector-cache: {message}");
    ExitCode::from(code)
}

const AFTER_HELP: &str = "\
Variables CONNECTOR_CACHE__<SECTION>__<KEY> override the file: CONNECTOR_CACHE__CACHE__TTL=1m.

Exit codes: 0 stopped cleanly, 1 could not start, 64 wrong usage or configuration.";
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
const START: u8 = 1;
