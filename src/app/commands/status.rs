//! The command `status`: the console of the admin port for a terminal.

mod report;

use std::io::IsTerminal;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use self::report::Report;
use super::admin_port::AdminPort;
use super::terminal::{Mark, Marks};
use super::{AdminArgs, CommandError, OutputFormat, block_on, print};

/// Arguments of `status`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  connector-cache status --admin http://127.0.0.1:9090
  connector-cache status --watch

Exit codes: 0 ready and nothing needs attention, 1 not ready, something needs attention or no response, 64 invalid usage.")]
pub struct StatusArgs {
    /// Show the state each second until Ctrl-C; off a terminal, one line each second.
    #[arg(long)]
    watch: bool,
    /// Form of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Returns whether the proxy is ready and nothing needs attention.
pub fn run(args: &StatusArgs, env: Vec<(String, String)>) -> Result<bool, CommandError> {
    let marks = Marks::for_stdout(&env);
    let port = AdminPort::new(&args.admin, env.into_iter(), TIMEOUT)?;
    if args.watch {
        return block_on(watch(&port, args.output, marks));
    }
    let data = block_on(look(&port))?;
    let report = Report::new(&data);
    print(&match args.output {
        OutputFormat::Json => report.to_json_line(),
        OutputFormat::Text => report.to_text(port.url(), marks),
    })?;
    Ok(report.is_good())
}

/// Prints the state each second, until Ctrl-C. Goes on while the proxy does not respond.
async fn watch(port: &AdminPort, output: OutputFormat, marks: Marks) -> Result<bool, CommandError> {
    let is_terminal = std::io::stdout().is_terminal() && output == OutputFormat::Text;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_good = true;
    loop {
        let looked = async {
            ticks.tick().await;
            look(port).await
        };
        let data = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(is_good),
            data = looked => data,
        };
        let text = match (&data, output) {
            (Ok(data), OutputFormat::Json) => Report::new(data).to_json_line(),
            (Ok(data), OutputFormat::Text) if is_terminal => Report::new(data).to_text(port.url(), marks),
            (Ok(data), OutputFormat::Text) => Report::new(data).to_line(),
            (Err(error), OutputFormat::Json) => {
                format!("{}\n", serde_json::json!({ "error": error.to_string() }))
            }
            (Err(error), OutputFormat::Text) => format!("{} {error}\n", marks.mark(Mark::Bad)),
        };
        is_good = data.is_ok_and(|data| Report::new(&data).is_good());
        let begin = if is_terminal { CLEAR_SCREEN } else { "" };
        print(&format!("{begin}{text}"))?;
    }
}

async fn look(port: &AdminPort) -> Result<Value, CommandError> {
    port.json(Method::GET, "/console/data").await
}

const TIMEOUT: Duration = Duration::from_secs(5);
/// Moves the cursor to the first line, and erases everything after it.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[J";
