//! Requested resources: flows of both kinds, versions, every subset of `$expand`, and the spellings of each.
//!
//! The canonical request is written here a second time, by hand, as the measure for the proxy's own.

use std::fmt;

/// A resource as the oracle knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    pub beta: bool,
    /// A flow of a B2C tenant, which exists on beta only.
    pub b2c: bool,
    pub flow: u8,
    /// For each step: absent, complete, or the selected names.
    pub steps: [Step; 3],
    pub select: u8,
    pub metadata: u8,
    /// `IEEE754Compatible`
    pub compatible: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    #[default]
    Absent,
    Whole,
    /// A set of [`NAMES`], bit by bit; never empty.
    Selected(u8),
}

impl Resource {
    /// One of the resources that are requested most: each differs from the next in one respect.
    pub fn hot(number: u8) -> Self {
        use Step::{Absent, Selected, Whole};
        let base = Self {
            beta: true,
            b2c: false,
            flow: 0,
            steps: [Whole, Whole, Absent],
            select: 0,
            metadata: 0,
            compatible: false,
        };
        match number % HOT {
            0 => base,
            1 => Self { steps: [Whole, Absent, Absent], ..base },
            2 => Self { steps: [Absent; 3], ..base },
            3 => Self { steps: [Selected(1), Whole, Absent], ..base },
            4 => Self { beta: false, ..base },
            5 => Self { flow: 1, ..base },
            6 => Self { metadata: 1, ..base },
            7 => Self { b2c: true, ..base },
            8 => Self { compatible: true, ..base },
            _ => Self { steps: [Whole, Whole, Whole], ..base },
        }
    }

    /// Any resource.
    pub fn any(bits: u32) -> Self {
        let beta = bits & 1 == 1;
        let step = |at: u32| match bits >> at & 7 {
            0 | 1 => Step::Absent,
            2 | 3 => Step::Whole,
            other => Step::Selected(u8::try_from(other - 3 + (bits >> at & 8)).unwrap_or(1)),
        };
        let last = if beta { step(9) } else { Step::Absent };
        Self {
            beta,
            b2c: beta && bits >> 22 & 1 == 1,
            flow: u8::try_from((bits >> 13) % u32::from(FLOWS)).unwrap_or_default(),
            steps: [step(1), step(5), last],
            select: u8::try_from((bits >> 18) % 4).unwrap_or_default(),
            metadata: u8::try_from((bits >> 20) % 3).unwrap_or_default(),
            compatible: bits >> 23 & 1 == 1,
        }
    }

    /// Id of the flow.
    pub fn flow(&self) -> String {
        flow(self.flow)
    }

    /// The canonical target.
    pub fn target(&self) -> String {
        let version = if self.beta { "beta" } else { "v1.0" };
        let mut target =
            format!("/{version}/identity/{}/{}/apiConnectorConfiguration", self.collection(), self.flow());
        let steps = STEPS.iter().zip(self.steps).filter_map(|(name, step)| match step {
            Step::Absent => None,
            Step::Whole => Some((*name).to_owned()),
            Step::Selected(set) => Some(format!("{name}($select={})", names(set).join(","))),
        });
        let expand = steps.collect::<Vec<_>>().join(",");
        let mut options = Vec::new();
        if !expand.is_empty() {
            options.push(format!("$expand={expand}"));
        }
        if self.select != 0 {
            options.push(format!("$select={}", names(self.select).join(",")));
        }
        if !options.is_empty() {
            target = format!("{target}?{}", options.join("&"));
        }
        target
    }

    fn collection(&self) -> &'static str {
        if self.b2c { "b2cUserFlows" } else { "b2xUserFlows" }
    }

    /// The canonical `Accept`.
    pub fn accept(&self) -> &'static str {
        let level = usize::from(self.metadata);
        if self.compatible {
            return [
                "application/json;odata.metadata=minimal;IEEE754Compatible=true",
                "application/json;odata.metadata=full;IEEE754Compatible=true",
                "application/json;odata.metadata=none;IEEE754Compatible=true",
            ][level];
        }
        ["application/json;odata.metadata=minimal", "application/json;odata.metadata=full", NO_METADATA]
            [level]
    }

    /// One of many spellings: path and query, and `Accept`.
    pub fn spelled(&self, bits: u16) -> (String, Option<&'static str>) {
        let bit = |at: u16| bits >> at & 1 == 1;
        let in_capitals = bit(15);
        let spell = |name: &str| if in_capitals { name.to_uppercase() } else { name.to_owned() };
        let version = match (self.beta, bit(0)) {
            (true, true) if bit(1) => "",
            (true, _) => "/beta",
            (false, _) => "/v1.0",
        };
        let slash = if bit(2) && !version.is_empty() { "/" } else { "" };
        let flow = if bit(3) { format!("('{}')", self.flow()) } else { format!("/{}", self.flow()) };
        let collection = spell(&format!("{version}{slash}/identity/{}", self.collection()));
        let path = format!("{collection}{flow}{}", spell("/apiConnectorConfiguration"));
        let mut steps: Vec<_> =
            STEPS.iter().zip(self.steps).filter_map(|step| spell_step(step, bits)).collect();
        if bit(4) {
            steps.reverse();
        }
        if bit(5) && !steps.is_empty() {
            steps.push(steps[0].clone());
        }
        let comma = match (bit(6), in_capitals) {
            (true, true) => "%20%2C%20%20",
            (true, false) => "%2C",
            (false, true) => ",%20",
            (false, false) => ",",
        };
        let mut options = Vec::new();
        if !steps.is_empty() {
            let name = if bit(7) { "%24expand" } else { ["$expand", "expand"][usize::from(bit(8))] };
            options.push(format!("{}={}", spell(name), steps.join(comma)));
        }
        if self.select != 0 {
            let mut names = names(self.select);
            if bit(9) {
                names.reverse();
            }
            let names = names.join(comma);
            options.push(format!("{}={}", spell(["$select", "select"][usize::from(bit(10))]), spell(&names)));
        }
        if bit(11) {
            options.reverse();
        }
        let end = if bit(12) { "&" } else { "" };
        let query = if options.is_empty() { String::new() } else { format!("?{}{end}", options.join("&")) };
        let accept = match (self.metadata, bits >> 13 & 3) {
            _ if self.compatible => Some(self.accept()),
            (0, 0) => None,
            (0, 1) if in_capitals => Some("text/html, *; q=.2, */*; q=.2"),
            (0, 1) => Some("*/*"),
            (0, 2) => Some("text/html, application/json;q=0.9"),
            (1, 0 | 1) => Some("application/json; ODATA.METADATA=\"full\""),
            (2, 0 | 1) => Some("application/json;odata.metadata=none, */*;q=0.1"),
            _ => Some(self.accept()),
        };
        (format!("{path}{query}"), accept)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target(), self.accept())
    }
}

/// The id of a flow.
pub fn flow(number: u8) -> String {
    format!("B2X_1_flow-{number:02}")
}

fn spell_step((name, step): (&&str, Step), bits: u16) -> Option<String> {
    let in_capitals = bits >> 15 & 1 == 1;
    let spell = |text: String| if in_capitals { text.to_uppercase() } else { text };
    let Step::Selected(set) = step else { return (step == Step::Whole).then(|| spell((*name).to_owned())) };
    let mut names = names(set);
    if bits & 2 != 0 {
        names.reverse();
        names.push(names[0]);
    }
    let option = if bits & 1 == 0 { "$select" } else { "select" };
    Some(spell(format!("{name}({option}={})", names.join(if in_capitals { ",%20" } else { "," }))))
}

/// Names in the canonical order.
fn names(set: u8) -> Vec<&'static str> {
    NAMES.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, name)| *name).collect()
}

pub const FLOWS: u8 = 20;
const HOT: u8 = 10;
const NO_METADATA: &str = "application/json;odata.metadata=none";
const STEPS: [&str; 3] = ["postFederationSignup", "postAttributeCollection", "preTokenIssuance"];
const NAMES: [&str; 4] = ["authenticationConfiguration", "displayName", "id", "targetUrl"];
