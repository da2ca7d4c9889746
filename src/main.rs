//! Command line: parses the arguments, runs a command, and returns its exit code.

use std::io::Write;
#[cfg(feature = "demo")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use connector_cache::app;
use connector_cache::app::commands::{self, CommandError};
use connector_cache::app::descriptors;
use connector_cache::app::reload::LiveSources;
use connector_cache::config::{Config, ConfigError, Sources};
use connector_cache::observability::{hardening, logging};
use connector_cache::server::{RUNTIME_SHUTDOWN_TIMEOUT, Workers};

/// Faster than the allocator of the C library, and returns memory to the system (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A caching proxy in front of Microsoft Graph, for the API connector configuration of user flows.
#[derive(Debug, Parser)]
#[command(version = VERSION, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy with a built-in stand-in for Graph; needs no network and no files.
    ///
    /// Each replica has a cache and ports of its own: the next free ports after those of listen.address and admin.address. Without
    /// --shared, each replica calls Graph for itself. With --shared they share their responses and purges; the secret and the
    /// begin of the key names are generated for each run. Each request prints a line; with one replica only on a terminal.
    #[cfg(feature = "demo")]
    Demo {
        /// Number of replicas in front of the stand-in, 1 to 10.
        #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = parse_replicas)]
        replicas: usize,
        /// Redis or Valkey that the replicas share, in the form of shared.url, for example `redis://127.0.0.1:6379`.
        #[arg(long, value_name = "URL")]
        shared: Option<String>,
        /// Run the stand-in alone at this loopback address, for a `serve` of your own with `graph.base_url` = `http://ADDRESS`.
        #[arg(long, value_name = "ADDRESS", value_parser = parse_stand_in, conflicts_with_all = ["replicas", "shared"])]
        stand_in: Option<SocketAddr>,
    },
    /// Run the proxy.
    Serve(ConfigFile),
    /// Validate the configuration and the files that it names, and print it with the source of each value and warnings.
    Check(commands::check::CheckArgs),
    /// Say how a request would be treated and why, without sending anything.
    Explain(commands::explain::ExplainArgs),
    /// Show the state of a running proxy: what needs attention, requests, Graph, reasons, memory. The worst is first.
    Status(commands::status::StatusArgs),
    /// Remove entries of a running proxy, and of all replicas that share its store. Counts the entries first, and asks.
    Purge(commands::purge::PurgeArgs),
    /// Ask a running proxy whether it is ready; for a container without a shell.
    Healthcheck(commands::healthcheck::HealthcheckArgs),
    /// Print the completions of a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// TOML file. Without it, the configuration consists of built-in defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Err(error) = hardening::harden() {
        return fail(EXIT_FAILURE, &format!("core dumps of the process cannot be disabled: {error}"));
    }
    // Until the store has many entries: see `HugePages`. The call fails only on a kernel without huge pages.
    let _ = hardening::allow_huge_pages(false);
    // If the system refuses, fewer connections fit, and the log has a warning.
    let _ = descriptors::raise_limit();
    logging::set_panic_hook();
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            // clap reports help and version as errors, too; it prints them to standard output.
            let code = if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
            if error.print().is_ok() { code } else { ExitCode::from(EXIT_FAILURE) }
        }
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo { replicas, shared, stand_in } => {
            let arguments = app::demo::Arguments { replicas, shared, stand_in };
            match app::demo::config(&arguments, environment_variables()) {
                Ok(config) => {
                    let logged = config.clone();
                    start(&logged, |log, workers| app::demo::run(arguments, config, log, workers))
                }
                Err(error) => refuse(&error),
            }
        }
        Command::Serve(ConfigFile { config: file }) => {
            let sources = Sources::new(file, environment_variables());
            match sources.load() {
                Ok(started) => {
                    let config = started.config.clone();
                    start(&config, |log, workers| app::serve(LiveSources { sources, started }, log, workers))
                }
                Err(error) => refuse(&error),
            }
        }
        Command::Check(args) => match commands::check::run(&args, environment_variables().collect(), cores())
        {
            Ok(code) => ExitCode::from(code),
            Err(error) => answer(Err(error)),
        },
        Command::Explain(args) => answer(commands::explain::run(&args, environment_variables().collect())),
        Command::Status(args) => answer(commands::status::run(&args, environment_variables().collect())),
        Command::Purge(args) => answer(commands::purge::run(&args, environment_variables().collect())),
        Command::Healthcheck(args) => answer(commands::healthcheck::run(&args, environment_variables())),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "connector-cache", &mut script);
            print(&script)
        }
    }
}

fn print(bytes: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, &format!("standard output cannot be written: {error}")),
    }
}

/// Returns the exit code of a command that answers yes or no.
fn answer(result: Result<bool, CommandError>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error @ CommandError::Usage(_)) => fail(EXIT_USAGE, &error.to_string()),
        Err(error @ CommandError::Failure(_)) => fail(EXIT_FAILURE, &error.to_string()),
    }
}

/// Sets up the log and the threads, and runs `serve` until it ends.
fn start<F: Future<Output = ExitCode>>(
    config: &Config,
    serve: impl FnOnce(logging::LogHandle, Workers) -> F,
) -> ExitCode {
    let (_guard, log) = match logging::init(&config.logging) {
        Ok(log) => log,
        Err(error) => return fail(EXIT_FAILURE, &format!("the log cannot be set up: {error}")),
    };
    let threads = Workers::start(config.server.threads.unwrap_or_else(cores));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ((workers, threads), runtime) = match threads.and_then(|threads| Ok((threads, runtime?))) {
        Ok(started) => started,
        Err(error) => return fail(EXIT_FAILURE, &format!("the threads cannot be started: {error}")),
    };
    let code = runtime.block_on(serve(log, workers));
    // The threads end in parallel.
    threads.stop();
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    code
}

/// Parses the number of replicas of the demo.
#[cfg(feature = "demo")]
fn parse_replicas(text: &str) -> Result<usize, String> {
    let accepted = 1..=app::demo::MAX_REPLICAS;
    let number = text.parse().ok().filter(|number| accepted.contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {}", app::demo::MAX_REPLICAS))
}

/// Parses the address of the stand-in. A proxy reaches it without TLS, which is possible on loopback only.
#[cfg(feature = "demo")]
fn parse_stand_in(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "expected a loopback address with a port, for example 127.0.0.1:8100".to_owned())
}

/// Returns the number of processors, or the cgroup quota of a container.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the environment variables. Invalid Unicode becomes U+FFFD, so that no variable of the proxy is ignored.
fn environment_variables() -> impl Iterator<Item = (String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn refuse(error: &ConfigError) -> ExitCode {
    fail(EXIT_USAGE, &format!("the configuration is refused:\n{error}"))
}

fn fail(code: u8, message: &str) -> ExitCode {
    // The exit code reports the failure even if standard error is closed.
    let _ = writeln!(std::io::stderr(), "connector-cache: {message}");
    ExitCode::from(code)
}

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CONNECTOR_CACHE_REVISION"), ")");
const COMPLETIONS_HELP: &str = "\
Example: connector-cache completions bash > /etc/bash_completion.d/connector-cache";
const AFTER_HELP: &str = "\
Variables CONNECTOR_CACHE__<SECTION>__<KEY> override the file: CONNECTOR_CACHE__CACHE__TTL=1m.

Exit codes: 0 clean stop or the answer yes, 1 failed start, a configuration that cannot work or the answer no, 64 invalid usage or \
configuration.";
/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;
const EXIT_FAILURE: u8 = 1;
