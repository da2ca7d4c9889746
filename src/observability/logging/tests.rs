use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;

use super::*;
use crate::support::labels::Label;

/// Buffer of the written lines. Clones share it.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the lines that `events` write.
fn log(filter: &str, format: Format, events: impl FnOnce()) -> String {
    let output = Output::default();
    let writer = output.clone();
    with_default(subscriber(filter, format, move || writer.clone()).unwrap(), events);
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn json(events: impl FnOnce()) -> Value {
    serde_json::from_str(&log("info", Format::Json, events)).unwrap()
}

/// Characters that could end a line, move the cursor or change the direction of text.
const NASTY: &str = "a\r\nb\u{1b}[2Jc\u{2028}d\u{2029}e\u{85}f\u{7f}g\u{202e}h\\i\"j\u{0}k\u{e0001}l";

#[test]
fn a_json_line_is_one_flat_object() {
    let line = json(|| tracing::info!(status = 200, ratio = 0.5, cached = true, kind = "hit", "done"));
    assert_eq!(line["message"], "done");
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
        let outer = tracing::info_span!("outer", request = "r", user = "outer", late = tracing::field::Empty);
        outer.record("late", 7);
        outer.in_scope(|| {
            tracing::info_span!("inner", user = "inner").in_scope(|| tracing::info!("done"));
        });
    });
    assert_eq!((&line["request"], &line["user"], &line["late"]), (&"r".into(), &"inner".into(), &7.into()));
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
fn json_keeps_each_value() {
    assert_eq!(json(|| tracing::info!(text = NASTY, "m"))["text"], NASTY);
}

#[test]
fn text_quotes_values_that_are_not_words() {
    let line = log("info", Format::Text, || {
        tracing::info!(word = "uri-miss", blank = "a b", forged = "x\" level=\"y", bytes = 3, "it is \"so\"");
    });
    let (_, fields) = line.split_once("tests: ").unwrap();
    assert_eq!(fields, "it is \"so\" word=uri-miss blank=\"a b\" forged=\"x\\\" level=\\\"y\" bytes=3\n");
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
        let output = log(filter, Format::Json, || {
            tracing::debug!(target: "h2::codec", "canary");
            tracing::trace!(target: "hyper", "canary");
            tracing::debug!(target: "rustls::client", "canary");
            tracing::debug!(target: "some_new_library", "canary");
            tracing::debug!(target: "connector_cache_plugin", "canary");
            let span = tracing::debug_span!(target: "hyper_util", "span", header = "canary");
            span.in_scope(|| tracing::error!(target: "h2", "loud"));
        });
        assert!(!output.contains("canary"), "{filter}: {output}");
        assert_eq!(output.matches("loud").count(), 1, "{filter}: {output}");
    }
}

#[test]
fn the_filter_selects_among_the_targets_of_this_crate() {
    let output = log("warn,connector_cache::upstream=trace", Format::Json, || {
        tracing::trace!(target: "connector_cache::upstream", "heard");
        tracing::info!(target: "connector_cache::server", "unheard");
        tracing::info!(target: "hyper", "unheard");
    });
    assert!(output.contains("\"heard\"") && !output.contains("unheard"), "{output}");
}

/// Blocks in each write until the other end is dropped.
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
fn a_stalled_reader_costs_lines_but_no_time() {
    let (release, stalled) = std::sync::mpsc::channel();
    let (writer, guard) = writer::start(Stalled(stalled)).unwrap();
    let dropped = guard.dropped_lines();
    // Lines that are not limited.
    with_default(subscriber("connector_cache=debug", Format::Json, writer).unwrap(), || {
        for _ in 0..writer::QUEUE_LINES + 2000 {
            tracing::debug!("line");
        }
    });
    // The writer thread holds some lines besides those in the queue.
    assert!((1000..=2000).contains(&dropped.get()), "{}", dropped.get());
    drop(release);
    drop(guard);
}

#[test]
fn f66_a_stuck_log_does_not_block_the_end_of_the_process() {
    let (release, stalled) = std::sync::mpsc::channel();
    let (mut writer, guard) = writer::start(Stalled(stalled)).unwrap();
    for _ in 0..=writer::QUEUE_LINES {
        writer.write_all(b"line\n").unwrap();
    }
    let began = std::time::Instant::now();
    drop(guard);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    drop(release);
}

#[test]
fn lines_that_are_left_at_the_end_are_written() {
    let output = tempfile::NamedTempFile::new().unwrap();
    let (mut writer, guard) = writer::start(output.reopen().unwrap()).unwrap();
    for _ in 0..1000 {
        writer.write_all(b"line\n").unwrap();
    }
    drop(guard);
    assert_eq!(std::fs::read(output.path()).unwrap().len(), 5000);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut writer, guard) = writer::start(Broken).unwrap();
    let dropped = guard.dropped_lines();
    for _ in 0..10 {
        writer.write_all(b"line\n").unwrap();
    }
    drop(guard);
    assert_eq!(dropped.get(), 10);
}

#[test]
fn the_access_setting_selects_the_lines() {
    for &outcome in Outcome::ALL {
        assert!(AccessLog::All.logs(outcome));
        assert!(!AccessLog::Off.logs(outcome));
        assert_eq!(AccessLog::Misses.logs(outcome), outcome != Outcome::Hit);
    }
}

#[test]
fn a_malformed_filter_is_refused() {
    for good in ["info", "OFF", "info,hyper=warn", "connector_cache::upstream=debug"] {
        assert!(parse_filter(good).is_some(), "{good}");
    }
    for bad in
        ["inof", "", "info,", "info, connector_cache=trace", "info,debgu", "connector_cache=loud", "a=b=c"]
    {
        assert!(parse_filter(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_changed_filter_applies_to_later_events() {
    let output = Output::default();
    let (writer, (filter, handle)) = (output.clone(), reload::Layer::new(parse_filter("info").unwrap()));
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
    let written = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let numbers = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].clone());
    assert_eq!(numbers.collect::<Vec<_>>(), [2, 3], "{written}");
}

/// Records the size of each write. The first write blocks until the other end is dropped.
struct Batches(Arc<Mutex<Vec<usize>>>, std::sync::mpsc::Receiver<()>);

impl Write for Batches {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.1.recv();
        self.0.lock().unwrap().push(bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_wait_together_are_written_in_one_write() {
    let ((release, blocked), batches) = (std::sync::mpsc::channel(), Arc::default());
    let (mut writer, guard) = writer::start(Batches(Arc::clone(&batches), blocked)).unwrap();
    for _ in 0..1000 {
        writer.write_all(b"line\n").unwrap();
    }
    drop(release);
    drop(guard);
    let batches = batches.lock().unwrap();
    assert_eq!(batches.iter().sum::<usize>(), 5000);
    assert!(batches.len() <= 2, "the lines before the first write, and all others: {batches:?}");
}

#[test]
fn the_level_cap_does_not_raise_the_level_of_the_filter() {
    let subscriber = subscriber("info", Format::Json, Output::default).unwrap();
    assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
}
