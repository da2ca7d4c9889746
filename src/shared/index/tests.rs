use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::auth::{CallerNames, HashKeys, Principal};
use crate::resource::ApiVersion;
use crate::support::clock::Clock;

struct Case {
    claims: Claims,
    resource: Arc<Resource>,
    form: ResourceForm,
}

impl Case {
    fn new() -> Self {
        let path = "/beta/identity/b2xUserFlows/flow/apiConnectorConfiguration";
        let resource = Resource::parse(path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap();
        let keys = HashKeys::random().unwrap();
        let hash = |name: &str| keys.claim_hash(crate::auth::ClaimKind::Tenant, name);
        let claims = Claims {
            principal: Principal::from_bytes([1; 16]),
            names: Arc::new(CallerNames { tenant: hash("t"), subjects: [hash("s"); 2] }),
            application: hash("a"),
            expiry: crate::auth::TokenExpiry::after(Clock::system().now()),
        };
        let form = ResourceForm::new(&resource);
        Self { claims, resource: Arc::new(resource), form }
    }

    fn subject(&self) -> Subject<'_> {
        Subject { claims: &self.claims, other_principal: None, resource: &self.resource, form: &self.form }
    }

    fn admits(&self, index: &EventIndex, position: u64, renewal: Option<EventName>) -> bool {
        index.admits(self.subject(), &stamp(position, renewal))
    }
}

fn stamp(position: u64, renewal: Option<EventName>) -> Stamp {
    Stamp { position: Position { generation: 1, id: id(position) }, renewal, asked_ms: 0 }
}

fn id(ms: u64) -> LogId {
    LogId { ms, seq: 0 }
}

fn name(number: u64) -> EventName {
    EventName { replica: 9, number }
}

fn begun() -> EventIndex {
    let mut index = EventIndex::default();
    index.begin(Position { generation: 1, id: id(10) });
    index
}

#[test]
fn nothing_counts_before_the_log_is_read_or_from_another_log() {
    let case = Case::new();
    assert!(!case.admits(&EventIndex::default(), 20, None));
    let mut index = begun();
    assert!(case.admits(&index, 10, None) && !case.admits(&index, 9, None));
    index.begin(Position { generation: 2, id: id(30) });
    assert!(!case.admits(&index, 40, None), "a value of the log before");
}

#[test]
fn an_event_makes_the_values_before_it_invalid_that_it_matches() {
    let case = Case::new();
    let own = vec![[1; 16]];
    let other_form = ResourceForm { target: "/other".to_owned(), accept: String::new() };
    let selector = |flow: &str| PurgeSelector { flow: Some(flow.to_owned()), ..PurgeSelector::default() };
    for (matcher, matches) in [
        (Matcher::Purge(PurgeSelector::default()), true),
        (Matcher::Purge(selector("flow")), true),
        (Matcher::Purge(selector("other")), false),
        (Matcher::Withdraw(own.clone(), None), true),
        (Matcher::Withdraw(vec![[2; 16]], None), false),
        (Matcher::Withdraw(own.clone(), Some(case.form.clone())), true),
        (Matcher::Withdraw(own.clone(), Some(other_form.clone())), false),
        (Matcher::Renew(own.clone(), case.form.clone()), true),
        (Matcher::Renew(own, other_form), false),
    ] {
        let mut index = begun();
        index.insert_pending(name(1), matcher.clone());
        assert_eq!(case.admits(&index, 1000, None), !matches, "pending {matcher:?}");
        index.resolve(name(1), id(20));
        assert_eq!(case.admits(&index, 19, None), !matches, "{matcher:?}");
        assert!(case.admits(&index, 20, None), "{matcher:?}");
        let mut index = begun();
        index.insert(id(20), name(1), matcher.clone());
        assert_eq!(case.admits(&index, 19, None), !matches, "{matcher:?}");
    }
}

#[test]
fn the_response_of_a_forced_refresh_survives_its_own_event_only() {
    let case = Case::new();
    let mut index = begun();
    let renew = |number| (name(number), Matcher::Renew(vec![[1; 16]], case.form.clone()));
    let (first, matcher) = renew(1);
    index.insert_pending(first, matcher);
    assert!(case.admits(&index, 12, Some(first)) && !case.admits(&index, 12, None));
    index.resolve(first, id(20));
    assert!(case.admits(&index, 12, Some(first)) && !case.admits(&index, 12, None));
    let (second, matcher) = renew(2);
    index.insert(id(30), second, matcher);
    assert!(!case.admits(&index, 12, Some(first)) && case.admits(&index, 12, Some(second)));
}

#[test]
fn a_forced_refresh_may_be_written_although_the_log_is_not_read_up_to_the_one_before() {
    let case = Case::new();
    let mut index = begun();
    let renew = || Matcher::Renew(vec![[1; 16]], case.form.clone());
    let admits = |index: &EventIndex, last| {
        index.admits_after(case.subject(), &stamp(12, Some(name(2))), Some(name(last)))
    };
    index.insert_pending(name(1), renew());
    assert!(admits(&index, 1) && !admits(&index, 0), "pending");
    index.resolve(name(1), id(20));
    assert!(admits(&index, 1) && !admits(&index, 0), "in the log");
    index.insert(id(30), EventName { replica: 8, number: 1 }, renew());
    assert!(!admits(&index, 1), "of another replica");
}

#[test]
fn the_index_is_bounded_and_refuses_what_it_no_longer_knows() {
    let case = Case::new();
    let mut index = begun();
    for at in 0..=u64::try_from(MAX_EVENTS).unwrap() {
        index.insert(
            id(100 + at),
            name(at),
            Matcher::Purge(PurgeSelector { flow: Some("x".to_owned()), ..PurgeSelector::default() }),
        );
    }
    assert!(index.purges.len() < MAX_EVENTS);
    assert!(!case.admits(&index, 50, None));
    assert!(case.admits(&index, 200_000, None));
}
