//! Driver: plays the operations of a story, and has each response judged.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connector_cache::support::clock::Clock;
use futures_util::future::{join, join_all};

use super::coverage::Coverage;
use super::history::{FLOW_NAMES, FLOWS, History};
use super::judge::{Judge, LIFE_MS, Rule, Sent, cache_status, is_hit, is_shared_hit};
use super::members::Members;
use super::story::{Op, Rng};
use crate::common::client::Response;
use crate::common::origin::OriginServer;
use crate::common::proxy::ahead;
use crate::common::token::mint_until;

/// A caller's token.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub user: String,
}

/// Player of a story.
pub struct Driver {
    pub(super) members: Members,
    pub(super) history: History,
    pub(super) rng: Rng,
    pub(super) tokens: Vec<Token>,
    pub(super) origin: OriginServer,
    clock: Clock,
    judge: Mutex<Judge>,
    coverage: Mutex<Coverage>,
    /// Second until which the next token is valid. No two tokens are equal.
    expiry: u64,
}

impl Driver {
    pub async fn start(seed: u64) -> Self {
        let (origin, clock) = (OriginServer::start().await, ahead());
        let history = History::new(clock.clone());
        history.serve(&origin);
        let members = Members::start(&origin, clock.clone()).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut driver = Self {
            members,
            history,
            rng: Rng(seed),
            tokens: Vec::new(),
            origin,
            clock,
            judge: Mutex::default(),
            coverage: Mutex::default(),
            expiry: now.as_secs() + 20 * 3600,
        };
        driver.tokens = USERS.map(|user| driver.mint(user)).into();
        driver
    }

    /// A new token of a user.
    pub(super) fn mint(&mut self, user: &str) -> Token {
        self.expiry += 1;
        Token { text: mint_until(user, self.expiry), user: user.to_owned() }
    }

    pub async fn play(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Read => {
                let (at, token, flow) = self.choose();
                self.read(at, &token, flow, false).await.map(drop)
            }
            Op::Change => {
                let flow = self.rng.below(FLOWS);
                self.change(flow);
                Ok(())
            }
            Op::Purge => {
                let at = self.any_replica();
                self.purge_something(at).await
            }
            Op::Refuse => self.refuse().await,
            Op::Refresh => self.refresh().await,
            Op::Advance => {
                self.clock.advance(Duration::from_millis(LIFE_MS / 2 + 1));
                self.coverage().advances += 1;
                // By the clock that was moved, the others have been silent for long.
                self.members.wait_until_complete().await;
                Ok(())
            }
            Op::RacedReads => self.raced_reads().await,
            Op::OvertakenFetch => self.overtaken_fetch().await,
            Op::LateWrite => self.late_write().await,
            Op::Outage(how, loss) => self.outage(how, loss).await,
            Op::KillConnections => self.kill_connections().await,
            Op::Flush => self.flush().await,
            Op::Replace => self.replace().await,
            Op::QuietPhase => self.quiet_phase().await,
        }
    }

    /// Stops the replicas. Returns the coverage.
    pub async fn finish(self) -> Coverage {
        let mut coverage = *self.coverage();
        for replica in &self.members.replicas {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small counter")]
            let superseded = replica.operations("read", "superseded").await as u64;
            coverage.superseded += superseded;
        }
        for replica in self.members.replicas {
            replica.proxy.stop().await;
        }
        coverage
    }

    /// Reads a flow and judges the response. Requests may overlap.
    pub(super) async fn read(
        &self,
        at: usize,
        token: &Token,
        flow: usize,
        is_refresh: bool,
    ) -> Result<Response, String> {
        let (response, sent) = self.send(at, token, flow, is_refresh).await?;
        if response.status != 200 {
            return Err(format!("(n) {} to {sent}: {}", response.status, response.text()));
        }
        Ok(response)
    }

    /// The same, if Graph may refuse the token.
    async fn send(
        &self,
        at: usize,
        token: &Token,
        flow: usize,
        is_refresh: bool,
    ) -> Result<(Response, String), String> {
        let replica = &self.members.replicas[at];
        let now_ms = self.clock.now().unix_millis();
        let sent = Sent { replica: replica.id, token: &token.text, user: &token.user, flow, now_ms };
        let rules = self.judge().rules_of(&sent);
        let response = replica.get(FLOW_NAMES[flow], &token.text, is_refresh).await;
        {
            let mut coverage = self.coverage();
            coverage.reads += 1;
            coverage.hits += u64::from(is_hit(&response));
            coverage.shared_hits += u64::from(is_shared_hit(&response));
        }
        if response.status == 200 {
            rules.judge(&sent, &response, &self.history)?;
        }
        let sent = format!("{sent:?} ({})", cache_status(&response));
        Ok((response, sent))
    }

    pub(super) fn change(&self, flow: usize) {
        self.history.change(flow);
        self.coverage().changes += 1;
    }

    /// Purges all, a flow, or a user at a replica.
    pub(super) async fn purge_something(&mut self, at: usize) -> Result<(), String> {
        let (flow, user) = match self.rng.below(4) {
            0 => (Some(self.rng.below(FLOWS)), None),
            1 => (None, Some(self.rng.choose(&USERS))),
            2 => (Some(self.rng.below(FLOWS)), Some(self.rng.choose(&USERS))),
            _ => (None, None),
        };
        self.purge(at, flow, user).await.map(drop)
    }

    /// Purges at a replica. Returns whether all replicas have confirmed it.
    pub(super) async fn purge(
        &self,
        at: usize,
        flow: Option<usize>,
        user: Option<&str>,
    ) -> Result<bool, String> {
        let versions = self.history.versions();
        let flow_name = flow.map(|flow| format!("flow={}", FLOW_NAMES[flow]));
        let query = [flow_name, user.map(|user| format!("subject={user}"))];
        let query = query.into_iter().flatten().collect::<Vec<_>>().join("&");
        let (purged, began) = self.send_purge(at, &format!("?{query}")).await;
        let rule = Rule::Replaced { user: user.map(str::to_owned), flow, versions };
        self.judge().add(self.members.replicas[at].id, began, rule);
        {
            let mut coverage = self.coverage();
            coverage.purges += 1;
            coverage.purges_with_selector += u64::from(!query.is_empty());
            coverage.purges_at_cut_replica += u64::from(self.members.replicas[at].is_cut);
        }
        self.confirm(at, began, &purged)
    }

    /// Waits until all connected replicas have read the events of a replica so far. Returns whether all have.
    pub(super) async fn barrier(&self, at: usize) -> Result<bool, String> {
        let (purged, began) = self.send_purge(at, "?subject=subject-of-nobody-number-0").await;
        self.confirm(at, began, &purged)
    }

    async fn send_purge(&self, at: usize, query: &str) -> (serde_json::Value, u64) {
        let began = self.history.tick();
        (self.members.replicas[at].purge(query).await, began)
    }

    /// Takes over what a purge says about the replicas, as far as it names them without doubt.
    fn confirm(&self, at: usize, began: u64, purged: &serde_json::Value) -> Result<bool, String> {
        let replicas = &self.members.replicas;
        let number = |name: &str| {
            purged[name].as_u64().ok_or_else(|| format!("(k) the purge has no {name}: {purged}"))
        };
        let (known, confirmed) = (number("replicas")?, number("confirmed")?);
        let lacking = usize::try_from(known - confirmed).unwrap();
        let others: BTreeSet<_> = replicas.iter().map(|replica| replica.id).collect();
        let cut: BTreeSet<_> =
            replicas.iter().filter(|replica| replica.is_cut).map(|replica| replica.id).collect();
        let unconfirmed = match lacking {
            _ if known != replicas.len() as u64 => others,
            0 => BTreeSet::new(),
            _ if lacking == cut.len() && !replicas[at].is_cut => cut,
            _ => others,
        };
        let is_complete = unconfirmed.is_empty();
        self.judge().confirm(replicas[at].id, began, &unconfirmed);
        let mut coverage = self.coverage();
        coverage.confirmed_by_all += u64::from(is_complete);
        coverage.unconfirmed += u64::from(lacking > 0);
        Ok(is_complete)
    }

    /// Graph refuses a token that it accepted before.
    async fn refuse(&mut self) -> Result<(), String> {
        let (at, token, flow) = self.choose();
        // The replica has a proof of its own now.
        self.read(at, &token, flow, false).await?;
        let status = self.rng.choose(&[401, 403, 404]);
        let only = (status != 401).then_some(flow);
        self.history.refuse(&token.text, Some((status, only)));
        let (response, sent) = self.send(at, &token, flow, true).await?;
        self.history.refuse(&token.text, None);
        if response.status != status {
            return Err(format!("(n) {} instead of Graph's {status} to {sent}", response.status));
        }
        let since = self.history.tick();
        let rule = Rule::Withdrawn { token: token.text.clone(), flow: only };
        self.judge().add(self.members.replicas[at].id, since, rule);
        self.coverage().refusals += 1;
        // A 401 is repeated for five seconds.
        self.clock.advance(Duration::from_secs(6));
        self.read_afterwards(at, &token, flow).await
    }

    async fn refresh(&mut self) -> Result<(), String> {
        let (at, token, flow) = self.choose();
        let versions = self.history.versions();
        self.read(at, &token, flow, true).await?;
        let rule = Rule::Replaced { user: Some(token.user.clone()), flow: Some(flow), versions };
        let since = self.history.tick();
        self.judge().add(self.members.replicas[at].id, since, rule);
        self.coverage().refreshes += 1;
        self.read_afterwards(at, &token, flow).await
    }

    /// Reads at any replica after an event of the replica `at`, sometimes once all replicas have applied it.
    async fn read_afterwards(&mut self, at: usize, token: &Token, flow: usize) -> Result<(), String> {
        if self.rng.below(2) == 0 {
            self.barrier(at).await?;
        }
        let at = self.any_replica();
        self.read(at, token, flow, false).await.map(drop)
    }

    /// Reads at all replicas while one of them purges, and afterwards.
    async fn raced_reads(&mut self) -> Result<(), String> {
        let (at, _, flow) = self.choose();
        self.change(flow);
        let (purged, raced) = join(self.purge(at, Some(flow), None), self.read_everywhere(flow)).await;
        purged?;
        self.coverage().raced_reads += raced?;
        self.read_everywhere(flow).await.map(drop)
    }

    /// Reads a flow with all tokens at all replicas at the same time. Returns the number of requests.
    async fn read_everywhere(&self, flow: usize) -> Result<u64, String> {
        let mut requests = Vec::new();
        for at in 0..self.members.replicas.len() {
            requests.extend(self.tokens.iter().map(|token| self.read(at, token, flow, false)));
        }
        let count = requests.len() as u64;
        join_all(requests).await.into_iter().try_for_each(|response| response.map(drop)).map(|()| count)
    }

    /// A replica, a token and a flow.
    pub(super) fn choose(&mut self) -> (usize, Token, usize) {
        let token = self.rng.below(self.tokens.len());
        (self.any_replica(), self.tokens[token].clone(), self.rng.below(FLOWS))
    }

    pub(super) fn any_replica(&mut self) -> usize {
        self.rng.below(self.members.replicas.len())
    }

    pub fn coverage(&self) -> MutexGuard<'_, Coverage> {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Users of the tokens. Two tokens have the same user. A name has at least 20 letters.
pub(super) const USERS: [&str; 4] = [
    "subject-of-ada-number-1",
    "subject-of-ada-number-1",
    "subject-of-bob-number-2",
    "subject-of-cyd-number-3",
];
