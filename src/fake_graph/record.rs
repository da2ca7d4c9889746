//! What reached the sandbox: every request is counted, the last ones are kept.

use std::collections::{HashMap, VecDeque};

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};
use tokio::sync::watch;

use super::question::flow_of;

/// A request as it came in. Its `Authorization` is hidden from `Debug`.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// The request target.
    pub target: Uri,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Every header field.
    pub headers: HeaderMap,
}

/// The counters and the last requests.
#[derive(Default)]
pub(crate) struct Record {
    calls: watch::Sender<u64>,
    by_flow: HashMap<String, u64>,
    last: VecDeque<Received>,
}

impl Record {
    /// Writes a request down, as it begins.
    pub(crate) fn add(&mut self, parts: &Parts) {
        if let Some(flow) = flow_of(parts.uri.path())
            && (self.by_flow.len() < FLOWS || self.by_flow.contains_key(flow))
        {
            *self.by_flow.entry(flow.to_owned()).or_default() += 1;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        let mut headers = parts.headers.clone();
        if let Some(token) = headers.get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
        let (method, target) = (parts.method.clone(), parts.uri.clone());
        self.last.push_back(Received { method, target, version: parts.version, headers });
        self.calls.send_modify(|calls| *calls += 1);
    }

    /// A view of the number of requests that have begun.
    pub(crate) fn calls(&self) -> watch::Receiver<u64> {
        self.calls.subscribe()
    }

    pub(crate) fn calls_of(&self, flow: &str) -> u64 {
        self.by_flow.get(flow).copied().unwrap_or_default()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.last.iter().cloned().collect()
    }
}

/// Requests kept.
const KEPT: usize = 4096;
/// Flow ids counted one by one.
const FLOWS: usize = 4096;
