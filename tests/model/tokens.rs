//! Callers: fifty tokens, most of them of a few principals, with Graph's first policy for each.
//!
//! The server in place of Graph distinguishes them by their bytes, as only the real Graph can. The rights of a token are
//! written by hand, not computed as in the proxy.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

/// A caller's token.
pub struct Token {
    /// Name for messages.
    pub name: &'static str,
    /// Text after `Bearer `.
    pub text: String,
    /// Tokens of equal number claim the same principal, forged or not.
    pub principal: usize,
    pub tenant: &'static str,
    /// `oid` and `sub`, or the same twice.
    pub subjects: [&'static str; 2],
    pub app: &'static str,
    /// Time in Unix milliseconds from which it may not use the cache. `None`: it may never use the cache.
    pub usable_until: Option<u64>,
    /// Time in Unix milliseconds from which Graph answers 401.
    pub ends: u64,
    /// Status of Graph at the beginning.
    pub kind: u16,
}

/// A set of claims.
#[derive(Clone, Copy)]
struct Claims {
    tenant: &'static str,
    oid: Option<&'static str>,
    sub: &'static str,
    app: &'static str,
    more: &'static str,
}

impl Claims {
    /// The payload with `exp` spelled as given.
    fn payload(&self, serial: usize, exp: &str) -> String {
        let Self { tenant, sub, app, more, .. } = self;
        let oid = self.oid.map(|oid| format!(r#""oid":"{oid}","#)).unwrap_or_default();
        format!(
            r#"{{"tid":"{tenant}",{oid}"sub":"{sub}","appid":"{app}","uti":"{serial}",{more}"exp":{exp}}}"#
        )
    }

    fn subjects(&self) -> [&'static str; 2] {
        [self.oid.unwrap_or(self.sub), self.sub]
    }
}

/// All fifty tokens. The first [`HOT`] are used most.
pub fn all_tokens() -> Vec<Token> {
    let mut table = TokenTable { tokens: Vec::new(), unproven_tokens: UNPROVEN_TOKENS };
    let victim = table.good("ada", 0, ADA, 86_000);
    table.good("ada, again", 0, ADA, 90_000);
    table.forged("ada, forged", 0, victim, "RS256", "forged");
    table.good("ada of tenant B", 2, ADA_OF_B, 86_000);
    table.good("grace", 1, GRACE, 86_000);
    table.good("sub that is ada's oid", 5, SUB_ONLY, 86_000);
    table.good("ada, soon over", 0, ADA, 400);
    table.add_unproven("opaque", ADA, |_, serial| format!("EwB{}", code(&noise(serial))));
    // End of the first HOT tokens.
    for (name, seconds) in [("ada, 20 min", 1_200), ("ada, 12 min", 720), ("ada, 40 min", 2_400)] {
        table.good(name, 0, ADA, seconds);
    }
    table.good("ada, 28 h", 0, ADA, 100_800);
    table.good("ada, nearly over", 0, ADA, 100);
    table.forged("ada, forged otherwise", 0, victim, "RS256", "other");
    table.forged("ada, stripped", 0, victim, "RS256", "");
    table.forged("ada, stripped, HS256", 0, victim, "HS256", "");
    table.forged("ada, alg none", 0, victim, "none", "");
    table.forged("ada, alg None", 0, victim, "None", "");
    let soon = table.position("ada, soon over");
    table.forged("ada, soon over, forged", 0, soon, "RS256", "forged");
    for (name, principal, claims, count) in [
        ("grace", 1, GRACE, 3),
        ("ada of tenant B", 2, ADA_OF_B, 2),
        ("ada through another app", 3, ADA_ELSEWHERE, 1),
        ("an app", 4, APP, 3),
        ("sub that is ada's oid", 5, SUB_ONLY, 1),
        ("ada with another role", 7, ADA_GLOBAL, 2),
        ("sub, tenant B", 8, SUB_OF_B, 2),
    ] {
        for seconds in 0..count {
            table.good(name, principal, claims, 4600 + seconds);
        }
    }
    let (grace, app) = (table.position("grace"), table.position("an app"));
    table.forged("grace, forged", 1, grace, "RS256", "forged");
    table.forged("an app, forged", 4, app, "RS256", "forged");
    for _ in 0..2 {
        let narrow = table.good("ada, wrong scope", 6, ADA_NARROW, 4500);
        table.tokens[narrow].kind = 403;
    }
    table.odd();
    table.tokens
}

struct TokenTable {
    tokens: Vec<Token>,
    unproven_tokens: usize,
}

impl TokenTable {
    /// Adds a token that Graph accepts until it expires.
    fn good(&mut self, name: &'static str, principal: usize, claims: Claims, seconds: u64) -> usize {
        let serial = self.tokens.len();
        let exp = START + seconds;
        let text = jwt("RS256", &claims.payload(serial, &exp.to_string()), &code(&noise(serial)));
        let usable_until = Some((exp - 30) * 1000);
        self.add(name, text, principal, claims, usable_until, exp * 1000)
    }

    /// Adds a token with the claims of another token and a wrong signature. Graph never accepts it.
    fn forged(&mut self, name: &'static str, principal: usize, of: usize, alg: &str, signature: &str) {
        let original = &self.tokens[of];
        let payload = original.text.split('.').nth(1).unwrap_or_default();
        let header = code(format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#).as_bytes());
        let signature = if signature.is_empty() { String::new() } else { code(signature.as_bytes()) };
        let token = Token {
            name,
            text: format!("{header}.{payload}.{signature}"),
            principal,
            tenant: original.tenant,
            subjects: original.subjects,
            app: original.app,
            usable_until: original.usable_until,
            ends: original.ends,
            kind: 401,
        };
        self.tokens.push(token);
    }

    /// Adds a token that may never use the cache, even if Graph accepts it.
    fn add_unproven(&mut self, name: &'static str, claims: Claims, text: impl Fn(Claims, usize) -> String) {
        self.unproven_tokens += 1;
        let serial = self.tokens.len();
        self.add(name, text(claims, serial), self.unproven_tokens, claims, None, u64::MAX);
    }

    /// Adds tokens with ambiguous claims. Graph accepts most of them.
    fn odd(&mut self) {
        for _ in 0..2 {
            self.add_unproven("expired", ADA, |claims, serial| {
                signed(&claims.payload(serial, "1799999990"), serial)
            });
            let last = self.tokens.len() - 1;
            self.tokens[last].kind = 401;
        }
        let bound = Claims { more: r#""cnf":{"x5t#S256":"x"},"#, ..ADA };
        let early = Claims { more: r#""nbf":1900000000,"#, ..ADA };
        let doubled = Claims { more: r#""oid":"ada-0001","#, ..ADA };
        let exp = "1800004500";
        self.add_unproven("five segments", ADA, |_, serial| format!("e30.{}.a.b.c", code(&noise(serial))));
        self.add_unproven("no base64", ADA, |_, serial| format!("e30.{}~.c", code(&noise(serial))));
        self.add_unproven("cnf", bound, |claims, serial| signed(&claims.payload(serial, exp), serial));
        self.add_unproven("nbf ahead", early, |claims, serial| signed(&claims.payload(serial, exp), serial));
        self.add_unproven("two oid", doubled, |claims, serial| signed(&claims.payload(serial, exp), serial));
        for (name, exp) in [
            ("exp as a string", r#""1800004500""#),
            ("exp as a float", "1800004500.0"),
            ("exp in milliseconds", "1800004500000"),
            ("exp below zero", "-1800004500"),
            ("exp twice", r#"1800004500,"exp":1800004500"#),
            ("exp in years", "1900000000"),
        ] {
            self.add_unproven(name, ADA, |claims, serial| signed(&claims.payload(serial, exp), serial));
        }
    }

    fn add(
        &mut self,
        name: &'static str,
        text: String,
        principal: usize,
        claims: Claims,
        usable_until: Option<u64>,
        ends: u64,
    ) -> usize {
        let (tenant, subjects) = (claims.tenant, claims.subjects());
        let app = claims.app;
        let kind = 200;
        self.tokens.push(Token { name, text, principal, tenant, subjects, app, usable_until, ends, kind });
        self.tokens.len() - 1
    }

    fn position(&self, name: &str) -> usize {
        self.tokens.iter().position(|token| token.name == name).unwrap_or_default()
    }
}

fn signed(payload: &str, serial: usize) -> String {
    jwt("RS256", payload, &code(&noise(serial)))
}

fn jwt(alg: &str, payload: &str, signature: &str) -> String {
    let header = code(format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#).as_bytes());
    format!("{header}.{}.{signature}", code(payload.as_bytes()))
}

fn code(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn noise(serial: usize) -> Vec<u8> {
    digest(&SHA256, &serial.to_be_bytes()).as_ref().to_vec()
}

/// Beginning of each story in Unix seconds.
pub const START: u64 = 1_800_000_000;
/// Tokens that expire during a story, for jumps of the clock.
pub const SHORT: [usize; 4] = [6, 8, 9, 10];
/// Number of tokens.
pub const TOKENS: usize = 50;
/// Number of the tokens that are used most.
pub const HOT: usize = 8;
/// The tenants, for purges.
pub const TENANTS: [&str; 2] =
    ["aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"];
/// Some subjects, for purges.
pub const SUBJECTS: [&str; 4] = ["ada-0001", "grace-0002", "service-0003", "pairwise"];
/// First principal number of the tokens with a principal of their own.
const UNPROVEN_TOKENS: usize = 100;
const SCOPE: &str = r#""scp":"IdentityUserFlow.ReadWrite.All openid","wids":["e","a"],"#;
const ADA: Claims =
    Claims { tenant: TENANTS[0], oid: Some(SUBJECTS[0]), sub: SUBJECTS[3], app: "portal", more: SCOPE };
const GRACE: Claims = Claims { oid: Some(SUBJECTS[1]), ..ADA };
const ADA_OF_B: Claims = Claims { tenant: TENANTS[1], ..ADA };
const ADA_ELSEWHERE: Claims = Claims { app: "console", ..ADA };
const ADA_NARROW: Claims = Claims { more: r#""scp":"User.Read","wids":["e","a"],"#, ..ADA };
const ADA_GLOBAL: Claims =
    Claims { more: r#""scp":"IdentityUserFlow.ReadWrite.All openid","wids":["g"],"#, ..ADA };
const APP: Claims = Claims {
    oid: Some(SUBJECTS[2]),
    sub: SUBJECTS[2],
    more: r#""idtyp":"app","roles":["IdentityUserFlow.Read.All"],"#,
    ..ADA
};
const SUB_ONLY: Claims = Claims { oid: None, sub: SUBJECTS[0], ..ADA };
const SUB_OF_B: Claims = Claims { tenant: TENANTS[1], ..SUB_ONLY };
