//! A log of requests: all are counted, the last ones are kept.

use std::collections::{HashMap, VecDeque};

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};
use tokio::sync::watch;

use super::request::flow_in_path;

/// A received request. `Debug` hides its `Authorization`.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
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
pub(crate) struct RequestLog {
    calls: watch::Sender<u64>,
    by_flow: HashMap<String, u64>,
    last: VecDeque<RecordedRequest>,
}

impl RequestLog {
    /// Records a request at its start.
    pub(crate) fn add(&mut self, parts: &Parts) {
        if let Some(flow) = flow_in_path(parts.uri.path())
            && (self.by_flow.len() < MAX_COUNTED_FLOWS || self.by_flow.contains_key(flow))
        {
            *self.by_flow.entry(flow.to_owned()).or_default() += 1;
        }
        if self.last.len() == MAX_RECORDED_REQUESTS {
            self.last.pop_front();
        }
        let mut headers = parts.headers.clone();
        if let Some(token) = headers.get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
        let (method, target) = (parts.method.clone(), parts.uri.clone());
        self.last.push_back(RecordedRequest { method, target, version: parts.version, headers });
        self.calls.send_modify(|calls| *calls += 1);
    }

    /// Returns a receiver of the number of requests that have begun.
    pub(crate) fn calls(&self) -> watch::Receiver<u64> {
        self.calls.subscribe()
    }

    pub(crate) fn calls_for_flow(&self, flow: &str) -> u64 {
        self.by_flow.get(flow).copied().unwrap_or_default()
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.last.iter().cloned().collect()
    }
}

/// Number of requests that are kept.
const MAX_RECORDED_REQUESTS: usize = 4096;
/// Number of flow ids that have a counter of their own.
const MAX_COUNTED_FLOWS: usize = 4096;
