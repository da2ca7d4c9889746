//! Diagnostics of `check`: one for each file, server and warning.

use std::path::PathBuf;

use http::{StatusCode, Version};
use serde_json::{Value, json};

use super::super::terminal::Mark;
use crate::app::Warning;
use crate::config::Config;
use crate::shared::{self, ProbeError, ProbeReport};
use crate::support::watched_files::DisplayPath;
use crate::upstream::{self, GraphProbeError, GraphReport};

/// One diagnostic.
pub(super) struct Diagnostic {
    pub(super) group: Group,
    pub(super) mark: Mark,
    /// Kind as a word that stays the same.
    pub(super) reason: &'static str,
    /// One sentence, which begins with the key.
    pub(super) text: String,
}

/// Group of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Start,
    Settings,
    Files,
    Servers,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Start, Self::Settings, Self::Files, Self::Servers];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Settings => "Settings",
            Self::Files => "Files",
            Self::Servers => "Servers",
        }
    }
}

impl Diagnostic {
    /// Creates a diagnostic. The text becomes one line.
    pub(super) fn new(group: Group, mark: Mark, reason: &'static str, text: &str) -> Self {
        let text = text.replace(|char: char| char.is_control(), " ");
        Self { group, mark, reason, text }
    }

    pub(super) fn to_json(&self) -> Value {
        let result = match self.mark {
            Mark::Good => "ok",
            Mark::Warning => "warning",
            Mark::Bad => "error",
        };
        let group = self.group.title().to_ascii_lowercase();
        json!({ "group": group, "result": result, "reason": self.reason, "text": self.text })
    }
}

/// Returns the warnings, and a diagnostic for each file without one.
pub(super) fn of_files(config: &Config, warnings: &[Warning]) -> Vec<Diagnostic> {
    let mut found: Vec<_> = warnings
        .iter()
        .map(|warning| {
            let mark = if warning.is_error() { Mark::Bad } else { Mark::Warning };
            let is_about_file = matches!(
                warning,
                Warning::MissingFile(..) | Warning::ReadableByOthers(..) | Warning::Certificate(_)
            );
            let group = if is_about_file { Group::Files } else { Group::Settings };
            Diagnostic::new(group, mark, warning.reason(), &warning.to_string())
        })
        .collect();
    for (key, path) in files(config) {
        let shown = DisplayPath(&path).to_string();
        if !found
            .iter()
            .any(|diagnostic| diagnostic.group == Group::Files && diagnostic.text.contains(&shown))
        {
            found.push(Diagnostic::new(Group::Files, Mark::Good, "readable", &format!("{key}: {shown}")));
        }
    }
    found
}

/// Returns the files that the configuration names.
fn files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let (tls, shared) = (config.server.tls.as_ref(), &config.shared);
    let files = [
        ("listen.tls.certificate", tls.map(|tls| &tls.certificate)),
        ("listen.tls.key", tls.map(|tls| &tls.key)),
        ("listen.tls.client_ca", tls.and_then(|tls| tls.client_ca.as_ref())),
        ("admin.token_file", config.admin.token_file.as_ref()),
        ("graph.ca_file", config.upstream.ca_file.as_ref()),
        ("shared.secret_file", shared.secret_file.as_ref()),
        ("shared.password_file", shared.password_file.as_ref()),
        ("shared.ca_file", shared.ca_file.as_ref()),
        ("shared.certificate", shared.certificate.as_ref()),
        ("shared.key", shared.key.as_ref()),
    ];
    files.into_iter().filter_map(|(key, path)| Some((key, path?.clone()))).collect()
}

/// Connects to Graph.
pub(super) async fn of_graph(config: &Config) -> Diagnostic {
    let url = config.upstream.base_url.as_str().trim_end_matches('/');
    match upstream::probe(&config.upstream).await {
        Ok(report) => graph_responds(url, &report),
        Err(error @ GraphProbeError::Setup(_)) => {
            Diagnostic::new(Group::Servers, Mark::Bad, error.reason(), &error.to_string())
        }
        Err(error) => {
            let text = format!(
                "graph.base_url: {url}: {error}. See docs/operations.md#connections-to-graph for this reason"
            );
            Diagnostic::new(Group::Servers, Mark::Bad, error.reason(), &text)
        }
    }
}

fn graph_responds(url: &str, report: &GraphReport) -> Diagnostic {
    let GraphReport { status, version, connect_time, is_proxied } = report;
    let version = if *version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" };
    let proxied = if *is_proxied { " through the forward proxy" } else { "" };
    let begin = format!(
        "graph.base_url: {url}: connected{proxied} in {} ms, {version}, status {} to a request without a token",
        connect_time.as_millis(),
        status.as_u16()
    );
    match *status {
        StatusCode::UNAUTHORIZED => Diagnostic::new(Group::Servers, Mark::Good, "connected", &begin),
        StatusCode::TOO_MANY_REQUESTS => {
            let text = format!("{begin}; Graph throttles this address");
            Diagnostic::new(Group::Servers, Mark::Warning, "throttled", &text)
        }
        status if status.is_server_error() => {
            let text = format!("{begin}; expected 401, Graph or a server before it fails");
            Diagnostic::new(Group::Servers, Mark::Warning, "server-error", &text)
        }
        _ => {
            let text = format!("{begin}; expected 401: another server than Graph responds");
            Diagnostic::new(Group::Servers, Mark::Bad, "unexpected-status", &text)
        }
    }
}

/// Connects to the store of the shared tier.
pub(super) async fn of_store(config: &Config) -> Diagnostic {
    let (mark, reason, text) = match shared::probe(&config.shared).await {
        Ok(None) => (Mark::Good, "off", "shared.url is not set".to_owned()),
        Ok(Some(report)) => {
            let mark = if ProbeReport::is_usable(&report) { Mark::Good } else { Mark::Bad };
            (mark, report.reason(), report.to_string())
        }
        Err(error) => (Mark::Bad, ProbeError::reason(&error), error.to_string()),
    };
    Diagnostic::new(Group::Servers, mark, reason, &text)
}
