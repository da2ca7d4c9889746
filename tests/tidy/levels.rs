//! Levels of the rooms: a room imports from lower levels only, and the modules of a room import each other one way.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{Unit, graph};
use super::source::{read, sources};

/// Rooms by level, from the lowest. Rooms of one level do not import each other.
const LEVELS: [&[&str]; 10] = [
    &["support"],
    &["fake_graph", "http", "scrub"],
    &["auth", "resource"],
    &["cache"],
    &["observability"],
    &["server", "shared", "upstream"],
    &["proxy"],
    &["admin"],
    &["config"],
    &["app"],
];

fn levels() -> BTreeMap<&'static str, usize> {
    let rows = LEVELS.iter().zip(1..);
    rows.flat_map(|(rooms, level)| rooms.iter().map(move |room| (*room, level))).collect()
}

#[test]
fn every_room_has_a_level_and_every_level_its_rooms() {
    let rooms: BTreeSet<String> =
        sources().iter().filter_map(|source| source.module.first().cloned()).collect();
    let expected = levels().into_keys().chain(["lib", "main"]).map(str::to_owned).collect();
    assert_eq!(rooms, expected);
}

#[test]
fn a_room_imports_from_lower_levels_only() {
    let levels = levels();
    let mut wrong = BTreeSet::new();
    for (unit, imported) in graph(&sources()) {
        for other in imported.iter().filter(|other| other.room != unit.room) {
            if let (Some(from), Some(to)) = (levels.get(&*unit.room), levels.get(&*other.room))
                && from <= to
            {
                wrong.insert(format!("{unit} (level {from}) imports {other} (level {to})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_modules_of_a_room_import_each_other_one_way() {
    let mut left = graph(&sources());
    // The file of the room itself declares its modules and uses them. It is no part of a cycle.
    left.retain(|unit, _| unit.module.is_some());
    for (unit, imported) in &mut left {
        imported.retain(|other| other.room == unit.room && other.module.is_some());
    }
    // A module that imports no remaining module, or that no remaining module imports, is in no cycle.
    loop {
        let units: BTreeSet<_> = left.keys().cloned().collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        left.retain(|unit, imports| imported.contains(unit) && !imports.is_disjoint(&units));
        for imports in left.values_mut() {
            imports.retain(|other| units.contains(other));
        }
        if left.len() == units.len() {
            break;
        }
    }
    let cycle: Vec<_> = left
        .iter()
        .map(|(unit, imports)| {
            let imports: Vec<_> = imports.iter().map(Unit::to_string).collect();
            format!("{unit} imports {}", imports.join(", "))
        })
        .collect();
    assert!(cycle.is_empty(), "these modules import each other in a cycle:\n{}", cycle.join("\n"));
}

#[test]
fn the_stand_in_for_graph_knows_nothing_of_the_proxy() {
    // It judges the proxy, so it must not share the proxy's reading of a request.
    let rooms: BTreeSet<_> = graph(&sources())
        .into_iter()
        .filter(|(unit, _)| unit.room == "fake_graph")
        .flat_map(|(_, imported)| imported.into_iter().map(|other| other.room))
        .filter(|room| room != "fake_graph")
        .collect();
    assert_eq!(rooms, BTreeSet::from(["support".to_owned()]));
}

#[test]
fn the_table_in_the_crates_documentation_has_the_same_levels() {
    let text = read("src/lib.rs");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let mut cells = line.split(" | ");
        let (Some(level), Some(room)) = (cells.next(), cells.next()) else { continue };
        let Ok(level) = level.parse::<usize>() else { continue };
        let room = room.trim_matches(|letter| "[]`".contains(letter)).to_owned();
        rows.insert(room, level);
    }
    assert_eq!(rows, levels().into_iter().map(|(room, level)| (room.to_owned(), level)).collect());
}
