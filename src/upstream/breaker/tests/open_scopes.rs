//! The list of open breakers and throttles, and the log line of each that opens.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;
use crate::observability::logging::{self, Format};

#[test]
fn the_open_scopes_with_the_longest_wait_are_listed_first_under_the_tags_of_the_log() {
    let test = TestBreakers::new();
    test.results("b/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    test.unproven("forged", "c/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(40)));
    (1..=3).for_each(|resource| test.results("e/x", resource, STATUS, 1));
    test.results("a/x", 1, CONNECTION, 5);
    test.pass(500);
    let tags = &test.breakers.log_tags;
    let (token, application) =
        (|name| Some(tags.token(test.token(name))), |name| Some(tags.application(test.app(name))));
    let OpenScopes { total, longest } = test.breakers.open_scopes(3);
    let listed: Vec<_> =
        longest.iter().map(|scope| (scope.kind, scope.tag, scope.cause, scope.left_seconds())).collect();
    let (throttle, breaker) = (Rejection::ThrottleGate, Rejection::Breaker);
    assert_eq!((total, listed.len()), (4, 3));
    assert_eq!(listed[0], (BreakerKind::Token, token("forged"), throttle, 40), "39.5 s, rounded up");
    assert_eq!(listed[1], (BreakerKind::Application, application("b/x"), throttle, 30));
    let all = test.breakers.open_scopes(50).longest;
    let last: Vec<_> = all[2..].iter().map(|scope| (scope.kind, scope.tag, scope.cause)).collect();
    assert!(last.contains(&(BreakerKind::Host, None, breaker)), "{last:?}");
    assert!(last.contains(&(BreakerKind::Token, token("e/x"), breaker)), "{last:?}");
}

#[test]
fn the_list_is_bounded_however_many_applications_are_throttled() {
    let test = TestBreakers::new();
    for number in 0..500 {
        let wait = seconds(1 + number * 7 % 500);
        test.results(&format!("t{number}/x"), 1, CallOutcome::Throttled(wait), 1);
    }
    let OpenScopes { total, longest } = test.breakers.open_scopes(50);
    let left: Vec<_> = longest.iter().map(OpenScope::left_seconds).collect();
    assert_eq!((total, left), (500, (451..=500).rev().collect()));
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_throttle_and_breaker_of_an_application_is_logged_when_it_opens_and_not_while_it_is_open() {
    let (test, lines) = (TestBreakers::new(), Lines::default());
    let writer = lines.clone();
    let subscriber = logging::subscriber("warn", Format::Text, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let [first, second] = [0; 2].map(|_| test.proven("a/x", 1).unwrap());
        first.record_now(CallOutcome::Throttled(Duration::from_millis(4_200)));
        second.record_now(CallOutcome::Throttled(seconds(30)));
        test.pass(30_000);
        test.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
        test.results("b/x", 1, STATUS, 5);
        test.pass(1_000);
        test.results("b/x", 1, STATUS, 1);
        test.unproven("forged", "c/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(30)));
    });
    let output = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let logged: Vec<_> =
        output.lines().filter_map(|line| line.split_once("application=")).map(|part| part.1).collect();
    let tag = |app| test.breakers.log_tags.application(test.app(app));
    let expected = [
        format!("{} scope=application cause=throttle-gate seconds=5", tag("a/x")),
        format!("{} scope=resource cause=breaker seconds=1", tag("b/x")),
    ];
    assert_eq!(logged, expected, "{output}");
}
