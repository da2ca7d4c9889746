//! The command `healthcheck`: a probe for a container without a shell.

use std::time::Duration;

use http::StatusCode;

use super::admin_port::AdminPort;
use super::{AdminArgs, CommandError, block_on, print};

/// Arguments of `healthcheck`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Example, in a compose file: healthcheck: { test: [\"CMD\", \"/connector-cache\", \"healthcheck\"] }

Exit codes: 0 ready, 1 not ready or no response within 5 seconds, 64 invalid usage or configuration.")]
pub struct HealthcheckArgs {
    /// Ask whether the process runs (/livez), and not whether it accepts requests (/readyz).
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Returns whether the proxy is ready, or alive.
pub fn run(
    args: &HealthcheckArgs,
    env: impl Iterator<Item = (String, String)>,
) -> Result<bool, CommandError> {
    let port = AdminPort::new(&args.admin, env, TIMEOUT)?;
    let path = if args.live { "/livez" } else { "/readyz" };
    let response = block_on(port.get_public(path))?;
    print(&format!("{}\n", response.line()))?;
    Ok(response.status == StatusCode::OK)
}

const TIMEOUT: Duration = Duration::from_secs(5);
