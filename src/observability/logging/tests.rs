use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;
use crate::support::labels::Label;

/// Takes what is logged. Clones share it.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<u8>>>);

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while `events` happen.
fn log(filter: &str, format: Format, events: impl FnOnce()) -> String {
    let taken = Taken::default();
    let writer = taken.clone();
    with_default(subscriber(filter, format, move || writer.clone()).unwrap(), events);
    let bytes = taken.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn json(events: impl FnOnce()) -> Value {
    serde_json::from_str(&log("info", Format::Json, events)).unwrap()
}

/// All that could end a line, move a cursor or turn text around.
const NASTY: &str = "a\r\nb\u{1b}[2Jc\u{2028}d\u{2029}e\u{85}f\u{7f}g\u{202e}h\\i\"j\u{0}k\u{e0001}l";

#[test]
fn a_json_line_is_one_flat_object() {
    let line = json(|| tracing::info!(status = 200, ratio = 0.5, cached = true, kind = "hit", "answered"));
    assert_eq!(line["message"], "answered");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "connector_cache::observability::logging::tests");
    assert_eq!(line["status"], 200);
    assert_eq!(line["ratio"], 0.5);
    assert_eq!(line["cached"], true);
    assert_eq!(line["kind"], "hit");
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && humantime::parse_rfc3339(time).is_ok(), "{time}");
}

#[test]
fn an_event_has_the_fields_of_its_spans_and_the_inner_ones_win() {
    let line = json(|| {
        let outer = tracing::info_span!("outer", request = "r", who = "outer", late = tracing::field::Empty);
        outer.record("late", 7);
        outer.in_scope(|| {
            tracing::info_span!("inner", who = "inner").in_scope(|| tracing::info!("answered"));
        });
    });
    assert_eq!((&line["request"], &line["who"], &line["late"]), (&"r".into(), &"inner".into(), &7.into()));
}

#[test]
fn a_field_cannot_pass_for_the_time_level_or_target() {
    let line = log("info", Format::Json, || tracing::info!(level = "ERROR", target = "x", time = 0, "m"));
    assert!(!line.contains("ERROR"), "{line}");
    assert_eq!(line.matches("\"level\"").count(), 1, "{line}");
}

#[test]
fn an_event_is_one_printable_line_whatever_is_in_it() {
    for format in [Format::Json, Format::Text] {
        let line = log("info", format, || tracing::info!(display = %NASTY, text = NASTY, "{NASTY}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.ends_with('\n'));
        let printable =
            |c: char| !c.is_control() && !('\u{2028}'..='\u{202e}').contains(&c) && c < '\u{e0000}';
        assert!(line.trim_end_matches('\n').chars().all(printable), "{line:?}");
    }
}

#[test]
fn json_gives_back_what_was_logged() {
    assert_eq!(json(|| tracing::info!(text = NASTY, "m"))["text"], NASTY);
}

#[test]
fn text_quotes_what_is_not_a_word() {
    let line = log("info", Format::Text, || {
        tracing::info!(word = "uri-miss", blank = "a b", forged = "x\" level=\"y", bytes = 3, "it is \"so\"");
    });
    let (_, said) = line.split_once("tests: ").unwrap();
    assert_eq!(said, "it is \"so\" word=uri-miss blank=\"a b\" forged=\"x\\\" level=\\\"y\" bytes=3\n");
}

#[test]
fn a_field_is_cut_at_256_characters() {
    let line = json(|| {
        let (long, fits) = ("\u{e9}".repeat(10_000), "y".repeat(256));
        tracing::info!(long, fits, debug = ?long, "{long}");
    });
    for name in ["long", "debug", "message"] {
        let text = line[name].as_str().unwrap();
        assert_eq!(text.chars().count(), 256, "{name}");
        assert!(text.ends_with('\u{2026}'), "{name}");
    }
    assert_eq!(line["fits"].as_str().unwrap(), "y".repeat(256));
}

#[test]
fn no_filter_lifts_a_library_below_info() {
    for filter in ["trace", "h2=trace", "h2=trace,hyper=debug", "debug,connector_cache=trace"] {
        let said = log(filter, Format::Json, || {
            tracing::debug!(target: "h2::codec", "canary");
            tracing::trace!(target: "hyper", "canary");
            tracing::debug!(target: "rustls::client", "canary");
            tracing::debug!(target: "some_new_library", "canary");
            tracing::debug!(target: "connector_cache_plugin", "canary");
            let span = tracing::debug_span!(target: "hyper_util", "span", header = "canary");
            span.in_scope(|| tracing::error!(target: "h2", "loud"));
        });
        assert!(!said.contains("canary"), "{filter}: {said}");
        assert_eq!(said.matches("loud").count(), 1, "{filter}: {said}");
    }
}

#[test]
fn the_filter_lets_our_own_targets_speak() {
    let said = log("warn,connector_cache::origin=trace", Format::Json, || {
        tracing::trace!(target: "connector_cache::origin", "heard");
        tracing::info!(target: "connector_cache::server", "unheard");
        tracing::info!(target: "hyper", "unheard");
    });
    assert!(said.contains("\"heard\"") && !said.contains("unheard"), "{said}");
}

/// Takes nothing until the other end is dropped.
struct Stalled(std::sync::mpsc::Receiver<()>);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stalled_reader_costs_lines_and_no_time() {
    let (let_go, stalled) = std::sync::mpsc::channel();
    let (writer, guard) = writer::start(Stalled(stalled)).unwrap();
    let dropped = guard.dropped_lines();
    // Lines that are not limited.
    with_default(subscriber("connector_cache=debug", Format::Json, writer).unwrap(), || {
        for _ in 0..writer::QUEUE_LINES + 2000 {
            tracing::debug!("line");
        }
    });
    // Some more than the queue holds are in the hands of the writer.
    assert!((1000..=2000).contains(&dropped.get()), "{}", dropped.get());
    drop(let_go);
    drop(guard);
}

#[test]
fn f66_a_log_that_is_stuck_does_not_hold_up_the_end() {
    let (let_go, stalled) = std::sync::mpsc::channel();
    let (mut writer, guard) = writer::start(Stalled(stalled)).unwrap();
    for _ in 0..=writer::QUEUE_LINES {
        writer.write_all(b"line\n").unwrap();
    }
    let began = std::time::Instant::now();
    drop(guard);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    drop(let_go);
}

#[test]
fn what_is_left_at_the_end_is_written() {
    let taken = tempfile::NamedTempFile::new().unwrap();
    let (mut writer, guard) = writer::start(taken.reopen().unwrap()).unwrap();
    for _ in 0..1000 {
        writer.write_all(b"line\n").unwrap();
    }
    drop(guard);
    assert_eq!(std::fs::read(taken.path()).unwrap().len(), 5000);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut writer, guard) = writer::start(Gone).unwrap();
    let dropped = guard.dropped_lines();
    for _ in 0..10 {
        writer.write_all(b"line\n").unwrap();
    }
    drop(guard);
    assert_eq!(dropped.get(), 10);
}

#[test]
fn access_lines_are_for_whom_they_are_asked() {
    for &outcome in Outcome::ALL {
        assert!(AccessLog::All.logs(outcome));
        assert!(!AccessLog::Off.logs(outcome));
        assert_eq!(AccessLog::Misses.logs(outcome), outcome != Outcome::Hit);
    }
}

#[test]
fn a_filter_with_a_slip_is_none() {
    for good in ["info", "OFF", "info,hyper=warn", "connector_cache::origin=debug"] {
        assert!(filter(good).is_some(), "{good}");
    }
    for bad in
        ["inof", "", "info,", "info, connector_cache=trace", "info,debgu", "connector_cache=loud", "a=b=c"]
    {
        assert!(filter(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_filter_that_is_changed_holds_from_then_on() {
    let taken = Taken::default();
    let (writer, (filter, handle)) = (taken.clone(), reload::Layer::new(filter("info").unwrap()));
    let handle = LogHandle {
        dropped: DroppedLines::default(),
        suppressed: SuppressedLines::default(),
        filter: handle,
    };
    with_default(layered(filter, limit::LineLimit::default(), Format::Json, move || writer.clone()), || {
        for (filter, number) in [("info", 1), ("debug", 2), ("inof", 3), ("warn", 4)] {
            handle.set_filter(filter);
            tracing::debug!(number);
        }
    });
    let written = String::from_utf8(taken.0.lock().unwrap().clone()).unwrap();
    let numbers = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].clone());
    assert_eq!(numbers.collect::<Vec<_>>(), [2, 3], "{written}");
}
