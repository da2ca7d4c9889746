//! `$expand` and `$select`: the part of OData's grammar that this resource supports.
//!
//! Options are decoded once, parsed into sets, and written in sorted order: OData ignores order and encoding (OData URL
//! Conventions 4.01, sections 5.1.3 and 5.1.4), and Graph ignores letter case and blanks around names, so they do not
//! change the key. An unknown option is rejected: without it the response would not be the one that the caller requested.

use std::borrow::Cow;
use std::cell::RefCell;

use percent_encoding::percent_decode_str;

use super::ApiVersion;
use super::invalid::{OptionName, QueryError};
use super::properties::{ExpandedStep, PropertySet, STEPS, SelectPlace};

/// Expansion of each step, in the order in which steps are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Expand([Expansion; STEPS.len()]);

/// Expansion of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Expansion {
    #[default]
    Absent,
    Whole,
    Selected(PropertySet),
}

/// Parses a raw query. Empty parameters (`?`, a trailing `&`) are ignored.
pub(super) fn parse(query: &str, version: ApiVersion) -> Result<ParsedQuery, QueryError> {
    let known = LAST_QUERY.with_borrow(|last| {
        let last = last.as_ref().filter(|last| *last.text == *query && last.version == version)?;
        Some(last.result)
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let result = parse_options(query, version)?;
    if query.len() <= MAX_KNOWN_QUERY_BYTES {
        LAST_QUERY.set(Some(LastQuery { text: query.into(), version, result }));
    }
    Ok(result)
}

/// `$expand` and `$select` of a query.
type ParsedQuery = (Expand, PropertySet);

/// A valid query and its result.
struct LastQuery {
    text: Box<str>,
    version: ApiVersion,
    result: ParsedQuery,
}

thread_local! {
    /// The last valid query that was parsed. Clients send the same one for all flows.
    static LAST_QUERY: RefCell<Option<LastQuery>> = const { RefCell::new(None) };
}

fn parse_options(query: &str, version: ApiVersion) -> Result<ParsedQuery, QueryError> {
    // Graph does not read a plus sign as a blank (microsoftgraph/msgraph-sdk-dotnet#1081), and no name has one.
    if query.contains('+') {
        return Err(QueryError::Plus);
    }
    let (mut expand, mut select) = (None, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (decode(name), decode(value));
        let is_duplicate = match KnownOption::find(&name) {
            Some(KnownOption::Expand) => expand.replace(Expand::parse(&value, version)?).is_some(),
            Some(KnownOption::Select) => {
                let place = SelectPlace::Request;
                let names = PropertySet::parse(&value, place, version);
                select.replace(names.ok_or(QueryError::UnknownProperty(place, version))?).is_some()
            }
            None if name.is_empty() => return Err(QueryError::UnnamedOption),
            None => return Err(QueryError::UnknownOption(OptionName::new(&name))),
        };
        if is_duplicate {
            return Err(QueryError::RepeatedOption(OptionName::new(&name)));
        }
    }
    Ok((expand.unwrap_or_default(), select.unwrap_or_default()))
}

/// Decodes a name or a value. Most of them have nothing to decode.
fn decode(part: &str) -> Cow<'_, str> {
    if part.contains('%') { percent_decode_str(part).decode_utf8_lossy() } else { Cow::Borrowed(part) }
}

/// A supported query option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KnownOption {
    Expand,
    Select,
}

impl KnownOption {
    /// Finds an option by its name in any letter case, with or without `$`.
    fn find(name: &str) -> Option<Self> {
        let name = name.strip_prefix('$').unwrap_or(name);
        let known = [("expand", Self::Expand), ("select", Self::Select)];
        known.into_iter().find_map(|(known, option)| known.eq_ignore_ascii_case(name).then_some(option))
    }
}

impl Expand {
    fn parse(list: &str, version: ApiVersion) -> Result<Self, QueryError> {
        let mut expand = Self::default();
        for item in split_outside_parentheses(list) {
            let item = item.trim_matches(' ');
            let (name, options) = match item.split_once('(') {
                Some((name, options)) => (name.trim_matches(' '), Some(options)),
                None => (item, None),
            };
            let step = ExpandedStep::find(name, version).ok_or(QueryError::UnknownStep(version))?;
            let expansion = match options {
                None => Expansion::Whole,
                Some(options) => Expansion::Selected(parse_nested(options, version)?),
            };
            let Some(slot) = expand.0.get_mut(step) else { continue };
            // A repeated step with equal options is the same set; with other options the request is ambiguous.
            if *slot != Expansion::Absent && *slot != expansion {
                return Err(QueryError::AmbiguousStep);
            }
            *slot = expansion;
        }
        Ok(expand)
    }

    /// Returns whether no step is expanded.
    pub(super) fn is_empty(self) -> bool {
        self.0.iter().all(|step| *step == Expansion::Absent)
    }

    /// Appends the option's value in its canonical form.
    pub(super) fn write_to(self, to: &mut String) {
        let mut separator = "";
        for (step, expansion) in STEPS.iter().zip(self.0) {
            let names = match expansion {
                Expansion::Absent => continue,
                Expansion::Whole => None,
                Expansion::Selected(names) => Some(names),
            };
            to.extend([separator, step.name]);
            if let Some(names) = names {
                to.push_str("($select=");
                names.write_to(to);
                to.push(')');
            }
            separator = ",";
        }
    }
}

/// Parses nested options with their closing parenthesis: one `$select`.
fn parse_nested(options: &str, version: ApiVersion) -> Result<PropertySet, QueryError> {
    let options = options.strip_suffix(')').ok_or(QueryError::NestedOption)?;
    let (option, names) = options.split_once('=').ok_or(QueryError::NestedOption)?;
    let option = option.trim_matches(' ');
    if option.is_empty() {
        return Err(QueryError::UnnamedOption);
    }
    // Nested options are separated by semicolons.
    if KnownOption::find(option) != Some(KnownOption::Select) || names.contains(';') {
        return Err(QueryError::NestedOption);
    }
    let place = SelectPlace::Nested;
    PropertySet::parse(names, place, version).ok_or(QueryError::UnknownProperty(place, version))
}

/// Splits a list at commas outside parentheses. An unbalanced parenthesis stays in its item and causes a rejection,
/// because no step, option or name contains a parenthesis.
fn split_outside_parentheses(list: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    list.split(move |symbol| {
        match symbol {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        symbol == ',' && !inside
    })
}

/// Longer queries are parsed each time. A query with all names has about 300 bytes.
const MAX_KNOWN_QUERY_BYTES: usize = 512;
