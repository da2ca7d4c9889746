//! Which leases a withdrawal or a purge revokes, and when.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{Identity, LabelKind, Secrets};
use crate::resource::ApiVersion;
use crate::support::clock::Clock;

fn token(name: &str, secrets: &Secrets) -> Fingerprint {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {name}")).unwrap());
    Identity::of(&headers, secrets).unwrap().fingerprint
}

fn is_good(ticket: &Ticket) -> bool {
    ticket.commit(|| ()).is_some()
}

fn resource(flow: &str) -> Arc<Resource> {
    let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
    Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
}

#[test]
fn a_no_to_a_token_voids_its_own_tickets_alone() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let (a, b) = (token("a", &secrets), token("b", &secrets));
    let (own, other) = (tickets.take(a, None, &resource("x")), tickets.take(b, None, &resource("x")));
    tickets.void(&a, None);
    assert!(!is_good(&own));
    assert!(is_good(&other));
}

#[test]
fn a_no_for_a_resource_leaves_the_tokens_other_tickets() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let (x, y) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("y")));
    tickets.void(&a, Some(&resource("x")));
    assert!(!is_good(&x));
    assert!(is_good(&y));
}

#[test]
fn who_asks_after_a_purge_has_another_number() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let (first, second) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("x")));
    assert_eq!(first.number(), second.number());
    drop(tickets.purge(&Selection::default()));
    let third = tickets.take(a, None, &resource("x"));
    assert!(!is_good(&first) && !is_good(&second) && is_good(&third));
    assert_ne!(first.number(), third.number());
}

#[test]
fn a_ticket_that_ends_takes_no_other_out_of_reach_of_a_no() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let (first, twin) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("x")));
    let (ended, other) = (tickets.take(a, None, &resource("y")), tickets.take(a, None, &resource("z")));
    drop((first, ended));
    tickets.void(&a, None);
    assert!(!is_good(&twin) && !is_good(&other));
}

#[test]
fn a_no_reaches_a_ticket_though_another_resource_was_refused_before() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let (_x, y) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("y")));
    tickets.void(&a, Some(&resource("x")));
    tickets.void(&a, None);
    assert!(!is_good(&y));
}

#[test]
fn nothing_is_left_of_tickets_that_were_dropped() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let (first, second) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("y")));
    drop(first);
    assert_eq!(tickets.table().marks.len(), 1);
    drop(second);
    assert!(tickets.table().marks.is_empty());
}

/// Claims of a user of a tenant, by `oid` and `sub`.
fn claims(secrets: &Secrets, tenant: &str, [oid, sub]: [&str; 2]) -> Claims {
    let now = Clock::manual(SystemTime::now()).now();
    let end = now.unix_seconds() + 3600;
    let payload = format!(r#"{{"tid":"{tenant}","oid":"{oid}","sub":"{sub}","exp":{end}}}"#);
    let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    Identity::of(&headers, secrets).unwrap().token.claims(secrets, now).unwrap()
}

#[test]
fn a_purge_revokes_what_it_selects_and_nothing_else() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let (ada, grace) =
        (claims(&secrets, "t", ["ada", "pairwise"]), claims(&secrets, "u", ["grace", "other"]));
    let label = |kind, name| Some(secrets.label(kind, name));
    for (selection, selected) in [
        (Selection { flow: Some("x".into()), ..Selection::default() }, [true, false, true]),
        (Selection { tenant: label(LabelKind::Tenant, "t"), ..Selection::default() }, [true, true, false]),
        (
            Selection { subject: label(LabelKind::Subject, "ada"), ..Selection::default() },
            [true, true, false],
        ),
        (
            Selection { subject: label(LabelKind::Subject, "pairwise"), ..Selection::default() },
            [true, true, false],
        ),
        (Selection { subject: label(LabelKind::Subject, "nobody"), ..Selection::default() }, [false; 3]),
    ] {
        let (a, b) = (token("a", &secrets), token("b", &secrets));
        let leases = [(a, &ada, "x"), (a, &ada, "y"), (b, &grace, "x")]
            .map(|(token, claims, flow)| tickets.take(token, Some(claims), &resource(flow)));
        drop(tickets.purge(&selection));
        assert_eq!(leases.each_ref().map(|lease| !is_good(lease)), selected, "{selection:?}");
    }
}

#[test]
fn a_lease_that_is_taken_before_the_purge_has_ended_is_not_good_and_one_after_it_is() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let a = token("a", &secrets);
    let flow = |flow: &str| Selection { flow: Some(flow.into()), ..Selection::default() };
    let purging = tickets.purge(&flow("x"));
    let (during, other) = (tickets.take(a, None, &resource("x")), tickets.take(a, None, &resource("y")));
    let twin = tickets.take(a, None, &resource("x"));
    assert!(!is_good(&during) && is_good(&other) && during.number() == twin.number());
    drop(purging);
    let after = tickets.take(a, None, &resource("x"));
    assert!(!is_good(&during) && !is_good(&twin) && is_good(&after));
    assert_ne!(after.number(), during.number(), "nobody waits for a question from before");
}

#[test]
fn nobody_revokes_a_lease_while_its_answer_is_stored() {
    let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
    let lease = tickets.take(token("a", &secrets), None, &resource("x"));
    let stored = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (begun, purge) = mpsc::channel();
        let (tickets, stored) = (&tickets, &stored);
        let purger = scope.spawn(move || {
            purge.recv().unwrap();
            drop(tickets.purge(&Selection::default()));
            stored.load(Relaxed)
        });
        let committed = lease.commit(|| {
            begun.send(()).unwrap();
            // Whatever the other thread does meanwhile, it does not get past this.
            (0..1_000).for_each(|_| std::thread::yield_now());
            stored.store(true, Relaxed);
        });
        assert!(committed.is_some() && purger.join().unwrap());
    });
    assert!(!is_good(&lease));
}
