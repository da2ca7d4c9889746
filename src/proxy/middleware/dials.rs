//! Live settings of the middleware.

use std::time::Duration;

use crate::http::validate;
use crate::observability::logging::AccessLog;
use crate::server::ServerLimits;
use crate::support::dial::Dial;

/// Settings that an operator may change while requests are served.
#[derive(Debug)]
pub struct Dials {
    pub(super) access: Dial<AccessLog>,
    pub(super) deadline: Dial<Duration>,
    target_bytes: Dial<usize>,
    headers: Dial<usize>,
}

impl Dials {
    /// Takes the settings of the start.
    pub fn new(access: AccessLog, limits: &ServerLimits) -> Self {
        Self {
            access: Dial::new(access),
            deadline: Dial::new(limits.request_timeout),
            target_bytes: Dial::new(limits.target_bytes),
            headers: Dial::new(limits.headers),
        }
    }

    /// Replaces the settings.
    pub fn set(&self, access: AccessLog, limits: &ServerLimits) {
        self.access.set(access);
        self.deadline.set(limits.request_timeout);
        self.target_bytes.set(limits.target_bytes);
        self.headers.set(limits.headers);
    }

    pub(super) fn message(&self) -> validate::MessageLimits {
        validate::MessageLimits { target_bytes: self.target_bytes.get(), headers: self.headers.get() }
    }
}
