//! The command `check`: prints the configuration, and finds out whether it and its files can be used.
//!
//! Standard output is the configuration as TOML. The diagnostics of `--connect` and the verdict are comments after it.

mod diagnostics;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use self::diagnostics::{Diagnostic, Group};
use super::terminal::{Mark, Marks};
use super::{CommandError, OutputFormat, block_on, print};
use crate::app::{self, StartError};
use crate::config::{Config, EffectiveConfig};

/// Arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  connector-cache check --config /etc/connector-cache/config.toml --strict
  connector-cache check --config /etc/connector-cache/config.toml --connect
  connector-cache check --schema > connector-cache.schema.json

Exit codes: 0 the configuration and its files can be used (check binds no port: one that is in use is found at the start), 1 a file \
or a server cannot be used, 64 invalid usage or configuration.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct CheckArgs {
    /// TOML file. Without it, the configuration consists of built-in defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fail with exit code 64 if there is a warning.
    #[arg(long)]
    strict: bool,
    /// Print no settings, only what is wrong and the verdict.
    #[arg(long)]
    quiet: bool,
    /// Try the servers: connect to Graph (through `HTTPS_PROXY` if it is set) and send one request without a token, and connect
    /// to the store (shared.url).
    #[arg(long)]
    connect: bool,
    /// Form of the result. As JSON: diagnostics and settings in one object.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    /// Print the JSON schema of the configuration file, and check nothing. Editors complete and check a file with it.
    #[arg(long, conflicts_with_all = ["config", "strict", "quiet", "connect", "output"])]
    schema: bool,
}

/// Checks the configuration. `cores` is the number of processors that the process may use. Returns the exit code.
pub fn run(args: &CheckArgs, env: Vec<(String, String)>, cores: usize) -> Result<u8, CommandError> {
    if args.schema {
        let defaults = load(None, Vec::new())?;
        print(&format!("{:#}\n", defaults.json_schema()))?;
        return Ok(0);
    }
    let marks = Marks::for_stdout(&env);
    let effective = load(args.config.as_deref(), env)?;
    let config = &effective.config;
    let is_text = args.output == OutputFormat::Text;
    if is_text && !args.quiet {
        print(&effective.to_string())?;
    }
    let checked = app::check(config, cores);
    let error_code = checked.as_ref().err().map_or(1, StartError::exit_code);
    let mut found = match checked {
        Ok(warnings) => diagnostics::of_files(config, &warnings),
        Err(error) => vec![Diagnostic::new(Group::Start, Mark::Bad, "start-fails", &start_fails(&error))],
    };
    if is_text {
        print_warnings(&found);
    }
    let is_startable = !found.iter().any(|diagnostic| diagnostic.mark == Mark::Bad);
    if args.connect && is_startable {
        found.extend(connect(config)?);
    }
    if !is_text {
        print(&format!("{}\n", object(&found, &effective)))?;
    } else if args.connect && is_startable {
        print(&comments(&found, marks))?;
    }
    let count = |mark| found.iter().filter(|diagnostic| diagnostic.mark == mark).count();
    let (errors, warnings) = (count(Mark::Bad), count(Mark::Warning));
    let is_too_strict = args.strict && warnings > 0;
    if is_text {
        let after_settings = if args.quiet { "" } else { "\n" };
        print(&format!("{after_settings}{}\n", verdict(errors, warnings, is_too_strict)))?;
    }
    Ok(if errors > 0 {
        error_code
    } else if is_too_strict {
        64
    } else {
        0
    })
}

/// Renders the verdict as the last line, a comment of the configuration.
fn verdict(errors: usize, warnings: usize, is_too_strict: bool) -> String {
    let counted = |count, noun| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let warnings = counted(warnings, "warning");
    match (errors, is_too_strict) {
        (0, false) => format!("# valid: {warnings}"),
        (0, true) => format!("# not valid: {warnings}, and --strict accepts none"),
        (errors, _) => format!("# not valid: {}, {warnings}", counted(errors, "error")),
    }
}

fn start_fails(error: &StartError) -> String {
    format!("a start would fail: {error}")
}

fn load(file: Option<&Path>, env: Vec<(String, String)>) -> Result<EffectiveConfig, CommandError> {
    EffectiveConfig::load(file, env.into_iter())
        .map_err(|error| CommandError::Usage(format!("the configuration is refused:\n{error}")))
}

/// Tries the servers of the configuration at the same time.
fn connect(config: &Config) -> Result<Vec<Diagnostic>, CommandError> {
    block_on(async {
        let (graph, store) = tokio::join!(diagnostics::of_graph(config), diagnostics::of_store(config));
        Ok(vec![graph, store])
    })
}

/// Prints warnings and errors to standard error.
fn print_warnings(found: &[Diagnostic]) {
    use std::io::Write as _;
    for diagnostic in found {
        let level = match diagnostic.mark {
            Mark::Good => continue,
            Mark::Warning => "warning",
            // The text says that it is an error.
            Mark::Bad if diagnostic.group == Group::Start => {
                let _ = writeln!(std::io::stderr(), "connector-cache: {}", diagnostic.text);
                continue;
            }
            Mark::Bad => "error",
        };
        let _ = writeln!(std::io::stderr(), "connector-cache: {level}: {}", diagnostic.text);
    }
}

/// Renders the diagnostics as comments of the configuration, by group.
fn comments(found: &[Diagnostic], marks: Marks) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let diagnostics: Vec<_> = found.iter().filter(|diagnostic| diagnostic.group == group).collect();
        if !diagnostics.is_empty() {
            let _ = writeln!(text, "\n# {}", group.title());
        }
        for Diagnostic { mark, reason, text: sentence, .. } in diagnostics {
            let _ = writeln!(text, "# {} {reason}: {sentence}", marks.mark(*mark));
        }
    }
    text
}

fn object(found: &[Diagnostic], effective: &EffectiveConfig) -> serde_json::Value {
    json!({
        "ok": !found.iter().any(|diagnostic| diagnostic.mark == Mark::Bad),
        "findings": found.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        "settings": effective.settings(),
    })
}
