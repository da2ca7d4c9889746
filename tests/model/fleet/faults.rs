//! Operations that disturb the replicas, and the quiet phase after them.

use futures_util::future::join;

use super::driver::Driver;
use super::history::{FLOW_NAMES, FLOWS};
use super::judge::{cache_status, is_shared_hit};
use super::members::REPLICAS;
use super::story::{Break, Loss};
use crate::common::gate::Gate;

impl Driver {
    /// Graph holds the response of an old content until a purge has passed. Nobody gets it from the cache afterwards.
    pub(super) async fn overtaken_fetch(&mut self) -> Result<(), String> {
        let (at, other, flow) = (self.any_replica(), self.any_replica(), self.rng.below(FLOWS));
        let name = format!("user-{}", self.history.tick());
        let (token, gate) = (self.mint(&name), Gate::new());
        self.history.hold(&token.text, &gate);
        let arrived = self.origin.requests() + 1;
        let overtaken = self.read(at, &token, flow, false);
        let purge = async {
            self.origin.wait_for_requests(arrived).await;
            self.change(flow);
            let purged = self.purge(other, Some(flow), None).await;
            gate.open();
            purged
        };
        let (response, purged) = join(overtaken, purge).await;
        response?;
        if purged? {
            self.coverage().overtaken_fetches += 1;
        }
        for at in 0..self.members.replicas.len() {
            self.read(at, &token, flow, false).await?;
        }
        Ok(())
    }

    /// Values that were written before a purge are written again after it.
    pub(super) async fn late_write(&mut self) -> Result<(), String> {
        let (at, _, flow) = self.choose();
        for token in self.tokens.clone() {
            self.read(at, &token, flow, false).await?;
        }
        let written = self.members.store.wait_for_keys(":e:", 1);
        written.await;
        let values = self.members.values().await;
        self.change(flow);
        let other = self.any_replica();
        self.purge(other, Some(flow), None).await?;
        self.members.restore(&values).await;
        self.coverage().late_writes += values.len() as u64;
        for at in 0..self.members.replicas.len() {
            for token in self.tokens.clone() {
                self.read(at, &token, flow, false).await?;
                // The value that the first replica has written meanwhile is overwritten again.
                self.members.restore(&values).await;
            }
        }
        Ok(())
    }

    /// One replica cannot reach the store while others read, change and purge.
    pub(super) async fn outage(&mut self, how: Break, loss: Loss) -> Result<(), String> {
        let (at, token, flow) = self.choose();
        for token in self.tokens.clone() {
            self.read(at, &token, flow, false).await?;
        }
        self.members.replicas[at].cut(how).await;
        match how {
            Break::Reset => self.coverage().resets += 1,
            Break::Stall => self.coverage().stalls += 1,
        }
        self.change(flow);
        let near = (at + 1) % self.members.replicas.len();
        if loss == Loss::Trim {
            // More than one event is lost.
            let both = join(self.purge(near, Some(flow), None), self.purge(near, None, None)).await;
            both.0.and(both.1)?;
        } else {
            self.purge(near, Some(flow), None).await?;
        }
        self.read(near, &token, flow, false).await?;
        // The replica without the store serves on, and purges at least itself.
        self.read(at, &token, flow, false).await?;
        if how == Break::Reset && loss == Loss::None {
            self.purge_something(at).await?;
        }
        match loss {
            Loss::None => {}
            Loss::Trim => {
                let log = self.members.store.log_name().await;
                self.members.store.ok(&["XTRIM", &log, "MAXLEN", "=", "1"]).await;
                self.coverage().trims += 1;
            }
            Loss::Flush => {
                self.members.store.ok(&["FLUSHALL"]).await;
                self.coverage().flushes += 1;
            }
        }
        self.members.replicas[at].mend().await;
        self.settle().await?;
        for token in self.tokens.clone() {
            self.read(at, &token, flow, false).await?;
        }
        Ok(())
    }

    /// The store ends all connections while a replica purges.
    pub(super) async fn kill_connections(&mut self) -> Result<(), String> {
        let (at, token, flow) = self.choose();
        self.change(flow);
        let kill = self.members.store.end_connections();
        let (purged, ()) = join(self.purge(at, Some(flow), None), kill).await;
        purged?;
        self.coverage().killed_connections += 1;
        for at in 0..self.members.replicas.len() {
            self.read(at, &token, flow, false).await?;
        }
        self.settle().await
    }

    /// The store loses its data while a replica purges.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let (at, token, flow) = self.choose();
        self.change(flow);
        let flush = self.members.store.ok(&["FLUSHALL"]);
        let (purged, _) = join(self.purge(at, Some(flow), None), flush).await;
        purged?;
        self.coverage().flushes += 1;
        for at in 0..self.members.replicas.len() {
            self.read(at, &token, flow, false).await?;
        }
        self.settle().await
    }

    /// A cold replica joins, and one of the others leaves. Rule (o): the first request of the cold one is a hit.
    pub(super) async fn replace(&mut self) -> Result<(), String> {
        let mut attempts = 0;
        while !self.join().await? {
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err("(o) a cold replica does not find a response of another one".to_owned());
            }
        }
        self.settle().await?;
        while self.members.replicas.len() > REPLICAS {
            let at = self.rng.below(REPLICAS);
            self.members.leave(at).await;
            self.coverage().leaves += 1;
        }
        Ok(())
    }

    /// Adds a cold replica after a response was written to the store. Returns whether its first request is a hit.
    async fn join(&mut self) -> Result<bool, String> {
        let (at, token, flow) = self.choose();
        let written = self.members.replicas[at].operations("write", "ok").await;
        self.read(at, &token, flow, true).await?;
        self.members.replicas[at].wait_for_writes(written).await;
        let at = self.members.join().await;
        self.coverage().joins += 1;
        let is_hit = is_shared_hit(&self.read(at, &token, flow, false).await?);
        self.coverage().cold_hits += u64::from(is_hit);
        Ok(is_hit)
    }

    /// Rule (o): without a disturbance each replica confirms what the others purge.
    async fn settle(&mut self) -> Result<(), String> {
        self.members.wait_until_complete().await;
        for at in 0..self.members.replicas.len() {
            let mut attempts = 0;
            // A busy machine may not reply within a second.
            while !self.barrier(at).await? {
                attempts += 1;
                if attempts == ATTEMPTS {
                    let id = self.members.replicas[at].id;
                    return Err(format!(
                        "(o) a purge of replica {id} is not confirmed by all in a quiet phase"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Rule (o): one call to Graph suffices for all replicas.
    pub(super) async fn quiet_phase(&mut self) -> Result<(), String> {
        self.settle().await?;
        let mut last = Ok(());
        for _ in 0..ATTEMPTS {
            last = self.share_one_call().await?;
            if last.is_ok() {
                break;
            }
        }
        self.coverage().quiet_phases += 1;
        last
    }

    /// Returns an error in the result if the other replicas do not find the response. That is a fault only if it persists.
    async fn share_one_call(&mut self) -> Result<Result<(), String>, String> {
        let (at, token, flow) = self.choose();
        self.change(flow);
        if !self.purge(at, None, None).await? {
            return Ok(Err("(o) a purge is not confirmed by all in a quiet phase".to_owned()));
        }
        let written = self.members.replicas[at].operations("write", "ok").await;
        let first = self.read(at, &token, flow, false).await?;
        self.members.replicas[at].wait_for_writes(written).await;
        for other in (0..self.members.replicas.len()).filter(|other| *other != at) {
            let response = self.read(other, &token, flow, false).await?;
            if !is_shared_hit(&response) || response.body != first.body {
                let status = cache_status(&response);
                return Ok(Err(format!("(o) {} is not found in the store: {status}", FLOW_NAMES[flow])));
            }
        }
        Ok(Ok(()))
    }
}

/// Attempts on a busy machine.
const ATTEMPTS: usize = 5;
