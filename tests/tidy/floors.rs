//! The floors: a file imports from its own floor and from those below, and nobody imports in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::graph;
use super::readme::section;
use super::source::sources;

/// From the ground up. The README has the same table, with what each file is for.
const FLOORS: [&[&str]; 5] = [
    &[
        "byte_budget",
        "cache/control",
        "cache/status",
        "clock",
        "coding",
        "date",
        "dial",
        "error",
        "headers",
        "ids",
        "memo",
        "network",
        "quality",
        "sabotage",
        "survivor",
        "words",
    ],
    &[
        "answer",
        "cache/entry",
        "cache/freshness",
        "cache/grant",
        "cache/interner",
        "cache/key",
        "cache/purge",
        "cache/report",
        "cache/validation",
        "cache/variants",
        "cache/vary",
        "files",
        "identity",
        "message",
        "metrics",
        "resource",
        "retry_after",
        "scrub",
        "trace",
    ],
    &[
        "admin",
        "breaker",
        "fair_queue",
        "permits",
        "unauthorized_tokens",
        "unproven_limit",
        "waiting_requests",
        "cache/flight",
        "cache/front",
        "cache/store",
        "cache/ticket",
        "deliver",
        "descriptors",
        "fetch",
        "layers",
        "origin",
        "otlp",
        "process",
        "readiness",
        "refresh",
        "sandbox",
        "server",
        "telemetry",
    ],
    &["proxy"],
    &["config", "demo", "lib", "main", "overview", "reload", "run"],
];

fn floors() -> BTreeMap<String, usize> {
    let rows = FLOORS.iter().enumerate();
    rows.flat_map(|(floor, modules)| modules.iter().map(move |module| (module.to_string(), floor))).collect()
}

#[test]
fn every_module_has_a_floor_and_every_row_a_module() {
    let graph = graph(&sources());
    let (modules, rows): (BTreeSet<_>, BTreeSet<_>) =
        (graph.keys().cloned().collect(), floors().into_keys().collect());
    let without: Vec<_> = modules.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&modules).collect();
    assert!(
        without.is_empty() && gone.is_empty(),
        "without a floor: {without:?}; in the table only: {gone:?}"
    );
}

#[test]
fn no_module_imports_from_a_floor_above() {
    let floors = floors();
    let mut upwards = Vec::new();
    for (module, named) in graph(&sources()) {
        for other in named {
            if let (Some(from), Some(to)) = (floors.get(&module), floors.get(&other))
                && from < to
            {
                upwards.push(format!("{module} (floor {from}) imports {other} (floor {to})"));
            }
        }
    }
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

#[test]
fn no_module_imports_itself_by_a_detour() {
    let mut left = graph(&sources());
    // Whoever imports nobody that is left, or is imported by nobody that is left, is in no circle.
    loop {
        let modules: BTreeSet<_> = left.keys().cloned().collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        left.retain(|module, named| imported.contains(module) && !named.is_disjoint(&modules));
        for named in left.values_mut() {
            named.retain(|other| modules.contains(other));
        }
        if left.len() == modules.len() {
            break;
        }
    }
    assert!(left.is_empty(), "these import each other in a circle: {left:#?}");
}

#[test]
fn the_stand_in_for_graph_knows_nothing_of_the_proxy() {
    let graph = graph(&sources());
    let known: Vec<_> = graph["sandbox"].iter().map(String::as_str).collect();
    assert_eq!(
        known,
        ["words"],
        "it judges the proxy, so it must not share the proxy's reading of a request"
    );
}

#[test]
fn the_readmes_layout_is_the_one_that_holds() {
    let mut rows = BTreeMap::new();
    for line in section("Layout").iter().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, file, floor, _job, _] = cells[..] else { panic!("four bars were expected: {line}") };
        let module = file.trim_matches('`').trim_end_matches(".rs").to_owned();
        let floor: usize = floor.parse().unwrap_or_else(|_| panic!("no floor: {line}"));
        assert_eq!(rows.insert(module, floor), None, "twice: {line}");
    }
    assert_eq!(rows, floors());
}

#[test]
fn the_layout_in_the_crates_manual_is_the_same() {
    let manual = super::source::read("src/lib.rs");
    let mut rows = BTreeMap::new();
    for line in manual.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let Some((floor, modules)) = line.split_once(", ") else { continue };
        let Ok(floor) = floor.parse::<usize>() else { continue };
        // Each name stands in backticks; what stands between two of them is no name.
        let names = modules.split('`').skip(1).step_by(2).map(|name| name.replace("::", "/"));
        rows.extend(names.map(|name| (name, floor)));
    }
    let mut expected = floors();
    expected.retain(|module, _| module != "lib" && module != "main");
    assert_eq!(rows, expected);
}
