//! The command `serve`: ports, signals and exit code around the application.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::descriptors::Descriptors;
use super::reload::LiveSources;
use super::{App, Listeners, StartError, bind};
use crate::observability::logging::LogHandle;
use crate::server::Workers;
use crate::support::clock::Clock;

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends the process at once. SIGHUP reloads changed files.
pub async fn serve(sources: LiveSources, log: LogHandle, workers: Workers) -> ExitCode {
    match try_serve(sources, log, workers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A collector of logs keeps the line with its fields. On a terminal it would be the same sentence twice.
            if !io::stdout().is_terminal() {
                tracing::error!(%error, "cannot start");
            }
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("connector-cache: {error}\n"));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn try_serve(sources: LiveSources, log: LogHandle, workers: Workers) -> Result<(), StartError> {
    let config = sources.started.config.clone();
    let reload_requests = Arc::new(Notify::new());
    // First: without a handler, SIGHUP ends the process.
    notify_on_hangup(&reload_requests)?;
    let listeners = Listeners {
        data: bind("listen.address", config.server.address)?,
        admin: bind("admin.address", config.admin.address)?,
    };
    let stop = stop_on_signal()?;
    App::with_workers(workers, config, Clock::system())?
        .with_live_sources(sources)
        .with_reload_requests(reload_requests)
        .with_descriptors(Descriptors::current().map_err(StartError::Descriptors)?)
        .with_preconnect()
        .run(listeners, stop, Some(log), std::convert::identity)
        .await
}

/// Installs the handler of SIGHUP, and notifies `reload_requests` on each signal.
fn notify_on_hangup(reload_requests: &Arc<Notify>) -> Result<(), StartError> {
    let mut hangups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let reload_requests = Arc::clone(reload_requests);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            reload_requests.notify_one();
        }
    });
    Ok(())
}

/// Returns a token that the first SIGTERM or SIGINT cancels. The second signal ends the process with exit code 1.
pub fn stop_on_signal() -> Result<CancellationToken, StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        let mut next_signal = async || {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        next_signal().await;
        tracing::info!("draining");
        cancelled.cancel();
        next_signal().await;
        std::process::exit(1);
    });
    Ok(stop)
}
