//! Gates before Graph: closed when Graph asks to be left alone, and when it is out of order.
//!
//! A 429 closes the gate of whoever Graph throttles: an application in a tenant. Only a token with proofs can
//! close that one, because nobody knows whether the others are what they claim; a 429 to a token without any
//! closes its own gate alone (promise 3). Failures in a row close the gate of Graph itself, the breaker, and
//! again only those of the proven count. A closed gate costs its callers nothing but a look, and Graph nothing.
//! When its time is over, one request goes ahead; if Graph takes it well, the others follow in growing numbers.
//!
//! A gate knows no token and no resource; it is told what became of a request, and when.

mod gate;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use self::gate::Gate;
use crate::clock::Clock;
use crate::identity::{Fingerprint, Label};

/// The gates of this process.
#[derive(Debug)]
pub struct Gates {
    origin: Arc<Mutex<Gate>>,
    scopes: Cache<Scope, Arc<Mutex<Gate>>>,
    clock: Clock,
    #[cfg(feature = "sabotage")]
    held_open: std::sync::atomic::AtomicBool,
}

/// Whose gate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// An application in a tenant, by a token that has proofs.
    Application(Label),
    /// One token that has none.
    Token(Fingerprint),
}

/// Who comes to the gates.
#[derive(Clone, Copy, Debug)]
pub struct Comer {
    /// Its token.
    pub token: Fingerprint,
    /// The application in a tenant that the token says it is of.
    pub application: Option<Label>,
    /// The token has proofs.
    pub proven: bool,
}

impl Comer {
    /// Whose gate it may move.
    fn scope(&self) -> Scope {
        let own = self.application.filter(|_| self.proven);
        own.map_or(Scope::Token(self.token), Scope::Application)
    }

    /// Whose gate it waits at without being able to move it.
    fn claimed(&self) -> Option<Scope> {
        self.application.filter(|_| !self.proven).map(Scope::Application)
    }
}

/// What became of a request, as far as gates are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Graph answered, whatever it said.
    Answered,
    /// Graph asks to be left alone for so long.
    Throttled(Duration),
    /// Graph could not be reached, or said that it is out of order.
    Failed,
}

/// Which gate was closed, and for how long still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Graph throttles this scope.
    Throttled(Duration),
    /// Graph is out of order.
    Broken(Duration),
}

/// A request on its way through the gates. To be settled; dropped, it tells the gates nothing but that it is over.
#[derive(Debug)]
pub struct Passage<'a> {
    gates: &'a Gates,
    scope: Scope,
    /// Its failure may count against Graph.
    proven: bool,
    held: Option<Arc<Mutex<Gate>>>,
    origin_held: bool,
}

impl Gates {
    /// All open.
    pub fn new(clock: Clock) -> Self {
        let scopes = Cache::builder().max_capacity(SCOPES).time_to_idle(FORGOTTEN_AFTER).build();
        Self {
            origin: Arc::default(),
            scopes,
            clock,
            #[cfg(feature = "sabotage")]
            held_open: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Closes none from here on, for tests of what lies behind them.
    #[cfg(feature = "sabotage")]
    pub fn hold_open(&self) {
        self.held_open.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Passes the gates, or says which is closed.
    ///
    /// A token with proofs passes its application's gate, and may be the one that opens or closes it. A token
    /// without any may claim whatever application it likes: it waits while that gate is closed, and moves
    /// nothing but a gate of its own.
    pub fn enter(&self, comer: &Comer) -> Result<Passage<'_>, Closed> {
        let (now, scope) = (self.clock.now(), comer.scope());
        if let Some(claimed) = comer.claimed().and_then(|claimed| self.scopes.get(&claimed)) {
            lock(&claimed).look(now).map_err(Closed::Throttled)?;
        }
        let mut passage =
            Passage { gates: self, scope, proven: comer.proven, held: None, origin_held: false };
        if let Some(gate) = self.scopes.get(&scope) {
            lock(&gate).enter(now).map_err(Closed::Throttled)?;
            passage.held = Some(gate);
        }
        lock(&self.origin).enter(now).map_err(Closed::Broken)?;
        passage.origin_held = true;
        Ok(passage)
    }

    /// Says which gate is closed, and moves none: for who cannot go on yet, whatever the gates say.
    pub fn look(&self, comer: &Comer) -> Result<(), Closed> {
        let now = self.clock.now();
        for scope in comer.claimed().into_iter().chain([comer.scope()]) {
            if let Some(gate) = self.scopes.get(&scope) {
                lock(&gate).look(now).map_err(Closed::Throttled)?;
            }
        }
        lock(&self.origin).look(now).map_err(Closed::Broken)
    }

    /// How many gates let nobody through now. One that is being opened lets some, and one whose time is over
    /// lets the next: neither counts, however long nobody comes.
    pub fn closed(&self) -> usize {
        let now = self.clock.now();
        let closed = |gate: &Mutex<Gate>| usize::from(lock(gate).look(now).is_err());
        self.scopes.iter().map(|(_, gate)| closed(&gate)).sum::<usize>() + closed(&self.origin)
    }
}

impl Passage<'_> {
    /// Says what became of the request.
    pub fn settle(mut self, outcome: Outcome) {
        #[cfg(feature = "sabotage")]
        if self.gates.held_open.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let now = self.gates.clock.now();
        let own = self.held.take();
        match (outcome, own) {
            (Outcome::Throttled(wait), own) => {
                let gate = own.unwrap_or_else(|| self.gates.scopes.get_with(self.scope, Arc::default));
                lock(&gate).close(now, wait);
            }
            (Outcome::Answered, Some(own)) => lock(&own).answered(),
            (Outcome::Failed, Some(own)) => lock(&own).over(now),
            (_, None) => {}
        }
        self.origin_held = false;
        let mut origin = lock(&self.gates.origin);
        match outcome {
            Outcome::Failed => origin.failed(now, self.proven),
            // Whoever says 429 is there.
            Outcome::Answered | Outcome::Throttled(_) => origin.answered(),
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let now = self.gates.clock.now();
        if let Some(own) = &self.held {
            lock(own).over(now);
        }
        if self.origin_held {
            lock(&self.gates.origin).over(now);
        }
    }
}

fn lock(gate: &Mutex<Gate>) -> std::sync::MutexGuard<'_, Gate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gates that are remembered. Past that, the one longest unused is open again.
const SCOPES: u64 = 10_000;
/// Longer than any wait that is taken from Graph.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests;
