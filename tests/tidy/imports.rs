//! Which module names which: `use`, and paths in the midst of code.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::tokens::Token;

/// By module, the modules that its code names. A module is a file of `src` with the folder of its name;
/// the files in `cache` are modules of their own, for that folder is a list and nothing more.
pub(crate) fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        let Some(module) = unit(&source.module) else { continue };
        let named = graph.entry(module.clone()).or_default();
        let paths = paths(&source.module, &source.tokens);
        named.extend(paths.iter().filter_map(|path| unit(path)).filter(|other| *other != module));
    }
    graph
}

/// The module that a path lies in. None for the crate itself and for the list of `cache`.
fn unit(path: &[String]) -> Option<String> {
    match path {
        [] => None,
        [first, rest @ ..] if first == "cache" => rest.first().map(|second| format!("cache/{second}")),
        [first, ..] => Some(first.clone()),
    }
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
        "crate" | "connector_cache" => Vec::new(),
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
