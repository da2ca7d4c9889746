//! A build without the feature `otlp`: what is said of requests and attempts is taken, and nothing becomes of it.

use http::request::Parts;
use http::{HeaderMap, StatusCode, Version};

use crate::cache::outcome::Outcome;
use crate::http::ids::Ids;

/// There is nothing to configure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}

/// Begins no spans.
#[derive(Clone, Debug, Default)]
pub struct Tracer {}

/// No span.
#[derive(Debug)]
pub struct Served;

/// No span.
#[derive(Debug)]
pub struct Attempt;

impl Tracer {
    /// Never.
    #[expect(clippy::unused_self, reason = "where there are spans it depends on it")]
    pub fn is_on(&self) -> bool {
        false
    }

    /// Begins none.
    pub fn served(&self, _: &mut Ids) -> Served {
        Served
    }

    /// Begins none.
    pub fn attempt(&self, _: &Ids, _: bool) -> Attempt {
        Attempt
    }
}

impl Served {
    /// Tells nobody.
    pub fn end(&mut self, _: &Parts, _: StatusCode, _: Outcome, _: Option<&'static str>) {}
}

impl Attempt {
    /// It has none.
    pub fn id(&self) -> Option<u64> {
        None
    }

    /// Tells nobody.
    pub fn answered(&mut self, _: StatusCode, _: Version, _: &HeaderMap) {}

    /// Tells nobody.
    pub fn failed(&mut self, _: &'static str) {}
}
