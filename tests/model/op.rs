//! Random stories: a story is a configuration and a list of operations.

use proptest::collection::vec;
use proptest::prelude::*;

use super::history::Times;
use super::resource::Resource;
use super::responses::ResponseKind;
use super::tokens::{HOT, SHORT, SUBJECTS, TENANTS, TOKENS};

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    pub times: Times,
    /// `limits.followers`
    pub followers: usize,
    /// Whether `limits.follower_wait` is so short that each follower goes alone.
    pub impatient: bool,
    pub ops: Vec<Op>,
}

/// An operation of a story.
#[derive(Clone, Debug)]
pub enum Op {
    /// A caller sends a request. `hold`: Graph's response, if needed, waits for an [`Op::Release`].
    Request {
        who: usize,
        what: Resource,
        spelling: u16,
        condition: Condition,
        directive: Directive,
        hold: bool,
    },
    /// Graph answers a held request, by its policy on arrival of the request or by its policy now.
    Release { pick: u16, as_asked: bool },
    /// A caller that waits hangs up.
    HangUp { pick: u16 },
    /// Time passes, milliseconds.
    Wait(u64),
    /// Time passes up to a boundary of an entry or proof, and `off` milliseconds less or more. `of`: an entry of this caller and
    /// resource instead of any entry.
    Edge { of: Option<(usize, Resource)>, pick: u16, which: u8, off: i8 },
    /// Time passes up to a token's last usable moment.
    TokenEdge { who: usize, off: i8 },
    /// Graph changes its policy for a token or all tokens, and for a resource or all resources.
    SetPolicy { who: Option<usize>, what: Option<Resource>, kind: ResponseKind },
    /// Graph returns to its first policy.
    Heal,
    /// Graph sends a token from now on the bodies of this view of its principal.
    View { who: usize, view: u8 },
    /// The content changes at Graph, for a resource or for all.
    Change { what: Option<Resource> },
    /// An operator purges.
    Purge { flow: Option<u8>, tenant: Option<&'static str>, subject: Option<&'static str> },
}

/// Condition of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// `If-None-Match: *`
    Any,
    /// An entity tag that any caller got, the most recent first.
    EntityTag(u8),
}

/// `Cache-Control` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Nothing where the proxy honors directives; otherwise a directive that it must ignore.
    None,
    NoCache,
    NoStore,
    MaxStale,
}

/// Settings of the proxy for lifetimes and directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// The defaults: lifetimes of the operator, directives of callers ignored.
    Operators,
    /// RFC 9111: lifetimes of Graph, or directives of callers honored, or both; Graph sends entity tags.
    Rfcs,
}

/// Picks the latest element.
pub const LATEST: u16 = u16::MAX;

/// A story of up to `length` operations.
pub fn story(length: usize, settings: Settings) -> impl Strategy<Value = Story> {
    let times = prop_oneof![
        4 => Just([300, 300, 30, 600]),
        2 => Just([300, 60, 30, 600]),
        2 => Just([60, 300, 30, 600]),
        1 => Just([300, 300, 0, 0]),
        1 => Just([300, 300, 400, 30]),
    ];
    let modes = match settings {
        Settings::Operators => Just((false, false)).boxed(),
        Settings::Rfcs => {
            prop_oneof![3 => Just((true, true)), 2 => Just((true, false)), 1 => Just((false, true))].boxed()
        }
    };
    let times = (times, modes).prop_map(|([ttl, proof_ttl, while_revalidate, if_error], modes)| Times {
        ttl: ttl * 1000,
        proof_ttl: proof_ttl * 1000,
        while_revalidate: while_revalidate * 1000,
        if_error: if_error * 1000,
        by_graph: modes.0,
        by_caller: modes.1,
    });
    let followers = prop_oneof![6 => Just((10_000, false)), 3 => Just((0, false)), 1 => Just((10_000, true))];
    let ops = vec(prop_oneof![16 => op(settings).prop_map(|op| vec![op]), 1 => theme(settings)], 1..length);
    (times, followers, ops).prop_map(|(times, (followers, impatient), ops)| Story {
        times,
        followers,
        impatient,
        ops: ops.concat(),
    })
}

/// A sequence that is too rare by chance: an event for a caller whose request to Graph is in flight.
fn theme(settings: Settings) -> impl Strategy<Value = Vec<Op>> {
    let edge = prop_oneof![1 => Just(None), 2 => (2..4_u8, -2..3_i8).prop_map(Some), 1 => (4..6_u8, -2..3_i8).prop_map(Some)];
    let meanwhile = prop_oneof![
        1 => Just(None),
        3 => (0..3_i8).prop_map(|off| Some(Op::TokenEdge { who: 0, off })),
        1 => prop_oneof![Just(401), Just(403), Just(404)].prop_map(|status| Some(Op::SetPolicy {
            who: None,
            what: None,
            kind: ResponseKind::No(status)
        })),
        1 => purge().prop_map(Some),
    ];
    let well = if settings == Settings::Operators { Just(ResponseKind::Ok).boxed() } else { lives().boxed() };
    let outcome = prop_oneof![
        3 => well,
        3 => Just(ResponseKind::No(503)),
        1 => Just(ResponseKind::No(429)),
        2 => Just(ResponseKind::No(403)),
        1 => Just(ResponseKind::NoBroken(403)),
        1 => Just(ResponseKind::NoStore),
        1 => Just(ResponseKind::Truncated),
    ];
    let caller = prop_oneof![2 => who(), 1 => prop::sample::select(&SHORT[..])];
    (caller, what(), what(), edge, outcome, meanwhile, any::<bool>()).prop_map(
        |(who, what, other, edge, kind, meanwhile, as_asked)| {
            let ask = |what: &Resource, hold| {
                let (what, condition, directive) = (what.clone(), Condition::None, Directive::None);
                Op::Request { who, what, spelling: 0, condition, directive, hold }
            };
            let of = Some((who, what.clone()));
            let edge = edge.map(|(which, off)| Op::Edge { of, pick: 0, which, off });
            let mind = Op::SetPolicy { who: Some(who), what: Some(what.clone()), kind };
            let mut ops = vec![Op::Heal, ask(&what, false)];
            ops.extend(edge);
            ops.extend([mind, ask(&what, true)]);
            ops.extend(match meanwhile {
                // Only tokens that expire soon: a jump to a late expiry passes all others.
                Some(Op::TokenEdge { off, .. }) => SHORT.contains(&who).then_some(Op::TokenEdge { who, off }),
                other => other,
            });
            ops.extend([
                ask(&other, false),
                Op::Release { pick: LATEST, as_asked },
                Op::Heal,
                ask(&what, false),
            ]);
            ops
        },
    )
}

fn op(settings: Settings) -> impl Strategy<Value = Op> {
    prop_oneof![
        160 => ask(settings),
        24 => (any::<u16>(), any::<bool>()).prop_map(|(pick, as_asked)| Op::Release { pick, as_asked }),
        4 => any::<u16>().prop_map(|pick| Op::HangUp { pick }),
        4 => prop_oneof![2 => 1..2_000_u64, 2 => 1_000..120_000_u64, 1 => 250_000..340_000_u64].prop_map(Op::Wait),
        4 => (any::<u16>(), 0..6_u8, -2..3_i8).prop_map(|(pick, which, off)| Op::Edge { of: None, pick, which, off }),
        1 => (prop::sample::select(&SHORT[..]), -2..3_i8).prop_map(|(who, off)| Op::TokenEdge { who, off }),
        5 => mind(settings),
        5 => Just(Op::Heal),
        4 => (who(), 0..3_u8).prop_map(|(who, view)| Op::View { who, view }),
        8 => prop::option::weighted(0.8, what()).prop_map(|what| Op::Change { what }),
        2 => purge(),
    ]
}

fn ask(settings: Settings) -> impl Strategy<Value = Op> {
    let condition = prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::Any),
        1 => (0..8_u8).prop_map(Condition::EntityTag),
    ];
    let directive = match settings {
        Settings::Operators => Just(Directive::None).boxed(),
        Settings::Rfcs => prop_oneof![
            12 => Just(Directive::None),
            2 => Just(Directive::MaxStale),
            1 => Just(Directive::NoCache),
            1 => Just(Directive::NoStore),
        ]
        .boxed(),
    };
    (who(), what(), any::<u16>(), condition, directive, prop::bool::weighted(0.2)).prop_map(
        |(who, what, spelling, condition, directive, hold)| Op::Request {
            who,
            what,
            spelling,
            condition,
            directive,
            hold,
        },
    )
}

fn who() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..2_usize, 6 => 0..HOT, 2 => 0..TOKENS]
}

fn what() -> impl Strategy<Value = Resource> {
    prop_oneof![
        8 => (0..8_u8).prop_map(Resource::hot),
        12 => (0..2_u8).prop_map(Resource::hot),
        2 => any::<u32>().prop_map(Resource::any),
    ]
}

/// Responses with a lifetime of Graph.
fn lives() -> impl Strategy<Value = ResponseKind> {
    let seconds = prop_oneof![2 => Just(0_u16), 2 => Just(60), 1 => Just(600)];
    let tags = (prop::bool::weighted(0.8), prop::bool::weighted(0.8));
    let lives = (seconds, tags).prop_map(|(seconds, (tag, same))| ResponseKind::Lives {
        seconds,
        tag,
        same: same && tag,
    });
    prop_oneof![9 => lives, 1 => Just(ResponseKind::Other304)]
}

fn mind(settings: Settings) -> impl Strategy<Value = Op> {
    let no = prop_oneof![
        Just(401),
        Just(403),
        Just(404),
        Just(410),
        Just(429),
        Just(500),
        Just(502),
        Just(503),
        Just(504),
        Just(400)
    ];
    let kind = prop_oneof![
        4 => if settings == Settings::Operators { Just(ResponseKind::Ok).boxed() } else { lives().boxed() },
        6 => no.clone().prop_map(ResponseKind::No),
        3 => no.prop_map(ResponseKind::NoBroken),
        1 => Just(ResponseKind::MustRevalidate),
        1 => Just(ResponseKind::Aged),
        1 => Just(ResponseKind::NoStore),
        1 => Just(ResponseKind::Varies),
        1 => Just(ResponseKind::Truncated),
        1 => Just(ResponseKind::Page),
        1 => Just(ResponseKind::BadJson),
        1 => Just(ResponseKind::Redirect),
        1 => Just(ResponseKind::NotModified),
    ];
    let who = prop_oneof![6 => who().prop_map(Some), 1 => Just(None)];
    let what = prop_oneof![6 => what().prop_map(Some), 1 => Just(None)];
    (who, what, kind).prop_map(|(who, what, kind)| Op::SetPolicy { who, what, kind })
}

fn purge() -> impl Strategy<Value = Op> {
    let flow = prop::option::of(0..3_u8);
    let tenant = prop::option::of(prop::sample::select(&TENANTS[..]));
    let subject = prop::option::of(prop::sample::select(&SUBJECTS[..]));
    (flow, tenant, subject).prop_map(|(flow, tenant, subject)| Op::Purge { flow, tenant, subject })
}
