//! Imports of modules: `use` declarations, and paths inside of code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::source::Source;
use super::tokens::Token;

/// A module of a room with all modules inside it, or the file of the room itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unit {
    /// The room: a module of the crate.
    pub(crate) room: String,
    /// The module in the room; `None` for the file of the room.
    pub(crate) module: Option<String>,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{}::{module}", self.room),
            None => f.write_str(&self.room),
        }
    }
}

/// The units that each unit names in its code. Code for tests does not count.
pub(crate) fn graph(sources: &[Source]) -> BTreeMap<Unit, BTreeSet<Unit>> {
    let modules: BTreeSet<_> = sources.iter().map(|source| source.module.clone()).collect();
    let mut graph: BTreeMap<Unit, BTreeSet<Unit>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        let Some(unit) = unit(&source.module, &modules) else { continue };
        let imported = graph.entry(unit.clone()).or_default();
        let paths = paths(&source.module, &source.tokens);
        imported.extend(
            paths.iter().filter_map(|path| self::unit(path, &modules)).filter(|other| *other != unit),
        );
    }
    graph
}

/// The unit of a path. `None` for the crate itself.
fn unit(path: &[String], modules: &BTreeSet<Vec<String>>) -> Option<Unit> {
    let (room, rest) = path.split_first()?;
    // The second name of a path may be an item of the room's own file.
    let module = rest.first().filter(|_| modules.contains(&path[..2]));
    Some(Unit { room: room.clone(), module: module.cloned() })
}

/// Every path that starts at the crate, from its root on.
fn paths(module: &[String], tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let continues = at > 0 && tokens[at - 1] == Token::Mark(':');
        if let Some((base, rest)) = start(module, &tokens[at..])
            && !continues
        {
            branches(base, rest, &mut found);
        }
    }
    found
}

/// Where a path starts, if one does, and what follows its first `::`.
fn start<'t>(module: &[String], tokens: &'t [Token]) -> Option<(Vec<String>, &'t [Token])> {
    let (Token::Name(first), mut rest) = tokens.split_first()? else { return None };
    let mut base = match first.as_str() {
        "crate" if CRATES.contains(&module[0].as_str()) => vec![module[0].clone()],
        "crate" | "connector_cache" => Vec::new(),
        name if name.starts_with("connector_cache_") => vec![name["connector_cache_".len()..].to_owned()],
        "super" => module[..module.len() - 1].to_vec(),
        _ => return None,
    };
    rest = after_colons(rest)?;
    while let Some((token, more)) = rest.split_first()
        && token.is("super")
    {
        base.pop();
        rest = after_colons(more)?;
    }
    Some((base, rest))
}

/// Follows a path through its braces. Returns what stands behind it.
fn branches<'t>(base: Vec<String>, tokens: &'t [Token], found: &mut Vec<Vec<String>>) -> &'t [Token] {
    match tokens.split_first() {
        Some((Token::Mark('{'), mut rest)) => loop {
            match rest.split_first() {
                None => return rest,
                Some((Token::Mark('}'), behind)) => return behind,
                Some((Token::Mark(','), behind)) => rest = behind,
                Some(_) => {
                    let behind = branches(base.clone(), rest, found);
                    // `as name` and `*`
                    let next = behind.iter().position(|token| matches!(token, Token::Mark(',' | '}')));
                    rest = &behind[next.unwrap_or(behind.len())..];
                }
            }
        },
        Some((Token::Name(name), rest)) => {
            let path = [base, vec![name.clone()]].concat();
            if let Some(further) = after_colons(rest) {
                return branches(path, further, found);
            }
            found.push(path);
            rest
        }
        _ => {
            found.push(base);
            tokens
        }
    }
}

/// Rooms that are crates of the workspace.
const CRATES: [&str; 3] = ["http", "scrub", "support"];

fn after_colons(tokens: &[Token]) -> Option<&[Token]> {
    match tokens {
        [Token::Mark(':'), Token::Mark(':'), rest @ ..] => Some(rest),
        _ => None,
    }
}

#[test]
fn imports_are_found_in_every_spelling() {
    let text =
        "use crate::{a, b::{c, d as e}, f::*}; use super::g::H; pub(crate) fn i() { crate::j::k::<u8>() }
        use self::l::M; use std::crate_like::N; macro_rules! o { () => { $crate::p::q } } super::super::r::s";
    let module = ["cache", "store"].map(str::to_owned);
    let (tokens, _) = super::tokens::tokens(text);
    let found: Vec<_> = paths(&module, &tokens).iter().map(|path| path.join("/")).collect();
    assert_eq!(found, ["a", "b/c", "b/d", "f", "cache/g/H", "j/k", "p/q", "r/s"]);
}
