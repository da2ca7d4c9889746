//! The one place that branches on the state of the cache.
//!
//! A request becomes a resource and an identity. A token that Graph has said 200 to has a grant; with a live
//! proof in it, an entry may be used. Everything else is a question to Graph, in a flight of the token's own.
//! The parts that are called here decide nothing about each other.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode, header};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Handler};
use crate::cache::control::Control;
use crate::cache::entry::{Entry, Grant, Proof};
use crate::cache::flight::{self, Flights, Landing, Seat};
use crate::cache::freshness::{self, ClientDirectives, Judgement, Verdict, judge, usable_on_error};
use crate::cache::key::{EntryKey, FlightKey};
use crate::cache::report::Report;
use crate::cache::status::{Bypass, Forward, NotStored, Outcome, ProofResult};
use crate::cache::store::Store;
use crate::clock::{Clock, Now};
use crate::deliver::{self, Presentation};
use crate::error::{Problem, Rejection};
use crate::fetch::{Fetched, Fetcher, Question};
use crate::identity::{Claims, Identity, Secrets};
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::resource::{ApiVersion, Resource};
use crate::words::Word;

/// The cache. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Parts_>);
