//! Text and JSON of an explanation.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::terminal::{Mark, Marks};
use super::comparison::Comparison;
use super::explanation::{CanonicalRequest, Explanation, Refusal, TokenFacts};
use crate::support::labels::Label;

impl Explanation {
    pub(super) fn to_text(&self, marks: Marks) -> String {
        let mut out = "Request\n".to_owned();
        match &self.request {
            Ok(CanonicalRequest { target, accept }) => {
                let _ = writeln!(out, "{} accepted: it is forwarded to Graph as", marks.mark(Mark::Good));
                row(&mut out, "GET", target);
                row(&mut out, "Accept", accept);
            }
            Err(refusal) => write_refusal(&mut out, marks, refusal),
        }
        out.push_str("\nToken\n");
        match &self.token {
            None => out.push_str("  not given (--token-file): only the URL was judged\n"),
            Some(Ok(facts)) => write_token(&mut out, marks, facts),
            Some(Err(refusal)) => write_refusal(&mut out, marks, refusal),
        }
        if let Some(Ok(TokenFacts { entry: Some(entry), proof: Some(proof), .. })) = &self.token {
            let _ = writeln!(out, "\nKeys ({DERIVATION})");
            row(&mut out, "entry", &format!("{entry}  the claims above, and the resource"));
            row(&mut out, "proof", &format!("{proof}  the bytes of the token, and the resource"));
        }
        if let Some(comparison) = &self.comparison {
            out.push_str("\nOther token\n");
            match comparison {
                Ok(comparison) => write_comparison(&mut out, marks, comparison),
                Err(refusal) => write_refusal(&mut out, marks, refusal),
            }
        }
        self.write_limits(&mut out);
        out
    }

    fn write_limits(&self, out: &mut String) {
        let limits = &self.limits;
        out.push_str("\nLimits in force\n");
        row(out, "cache.ttl", &time(limits.ttl));
        row(out, "cache.proof_ttl", &time(limits.proof_ttl));
        row(out, "exp margin", &time(limits.exp_margin));
        if let Some(usable) = limits.usable {
            row(out, "hits", &format!("for at most {} after a 200 of Graph", time(usable)));
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let request = match &self.request {
            Ok(CanonicalRequest { target, accept }) => json!({ "target": target, "accept": accept }),
            Err(refusal) => refusal_json(refusal),
        };
        let token = self.token.as_ref().map(|token| match token {
            Ok(facts) => token_json(facts),
            Err(refusal) => refusal_json(refusal),
        });
        let comparison = self.comparison.as_ref().map(|comparison| match comparison {
            Ok(comparison) => comparison.to_json(),
            Err(refusal) => refusal_json(refusal),
        });
        let limits = &self.limits;
        json!({
            "ok": self.is_good(),
            "request": request,
            "token": token,
            "comparison": comparison,
            "digests": DERIVATION,
            "limits": {
                "cache.ttl": time(limits.ttl),
                "cache.proof_ttl": time(limits.proof_ttl),
                "exp_margin": time(limits.exp_margin),
                "hits_for": limits.usable.map(time),
            },
        })
    }
}

fn write_refusal(out: &mut String, marks: Marks, refusal: &Refusal) {
    let Refusal { reason, status, message } = refusal;
    let _ = writeln!(out, "{} refused: {reason}, {status}. {message}", marks.mark(Mark::Bad));
}

fn write_token(out: &mut String, marks: Marks, facts: &TokenFacts) {
    match facts.bypass {
        None => {
            let _ = writeln!(
                out,
                "{} cacheable: the token may use the cache for {}",
                marks.mark(Mark::Good),
                minutes(facts.remaining)
            );
        }
        Some(reason) => {
            let _ = writeln!(
                out,
                "{} bypass: {}. {} A request with such a token is forwarded, and its response is not stored.",
                marks.mark(Mark::Bad),
                reason.as_str(),
                reason.description()
            );
        }
    }
    for (name, values, digest) in &facts.shown {
        row(out, name, &format!("{digest:8}  {values}"));
    }
    if let Some(minutes) = facts.exp_in_minutes {
        row(out, "exp", &format!("          {}", relative(minutes)));
    }
}

fn write_comparison(out: &mut String, marks: Marks, comparison: &Comparison) {
    // Two callers with different keys are no fault.
    let mark = match (comparison.is_other_cacheable, comparison.differing.is_empty()) {
        (true, true) => format!("{} ", marks.mark(Mark::Good)),
        (true, false) => "  ".to_owned(),
        (false, _) => format!("{} ", marks.mark(Mark::Warning)),
    };
    let _ = writeln!(out, "{mark}{}", comparison.conclusion());
    for difference in &comparison.differing {
        let list = |values: &[String]| if values.is_empty() { "-".to_owned() } else { values.join(" ") };
        let side = |digest: &Option<String>, token: &str, only: &[String]| match digest {
            None => format!("{:8}  absent in {token}", ""),
            Some(digest) => format!("{digest:8}  only in {token}: {}", list(only)),
        };
        row(out, difference.name, &side(&difference.digests.0, "the first", &difference.only_first));
        row(out, "", &side(&difference.digests.1, "the other", &difference.only_second));
    }
}

fn refusal_json(refusal: &Refusal) -> Value {
    json!({ "refused": { "reason": refusal.reason, "status": refusal.status, "message": refusal.message } })
}

fn token_json(facts: &TokenFacts) -> Value {
    let claims = facts.shown.iter().map(|(name, values, digest)| {
        json!({ "name": name, "values": values, "digest": Some(digest).filter(|digest| !digest.is_empty()) })
    });
    json!({
        "cacheable": facts.is_cacheable(),
        "bypass": facts.bypass.map(Label::as_str),
        "description": facts.bypass.map(Label::description),
        "usable_minutes": facts.remaining.as_secs() / 60,
        "exp_in_minutes": facts.exp_in_minutes,
        "claims": claims.collect::<Vec<_>>(),
        "entry_key": facts.entry,
        "proof_key": facts.proof,
    })
}

fn row(out: &mut String, title: &str, value: &str) {
    let _ = writeln!(out, "  {title:<16}{}", value.trim_end());
}

/// Renders a duration in whole seconds.
fn time(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// Renders a duration in whole minutes. The exact end of a token would find its sign-in in a log.
fn minutes(duration: Duration) -> String {
    match duration.as_secs() / 60 {
        0 => "less than a minute".to_owned(),
        minutes => time(Duration::from_secs(minutes * 60)),
    }
}

fn relative(minutes_ahead: i64) -> String {
    let distance = minutes(Duration::from_secs(minutes_ahead.unsigned_abs().saturating_mul(60)));
    if minutes_ahead < 0 { format!("{distance} ago") } else { format!("in {distance}") }
}

const DERIVATION: &str =
    "HMAC-SHA-256 under a random key of this run, 32 bits: only comparable within this output";
