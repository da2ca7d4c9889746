//! Query of `DELETE /cache`: what a purge is to remove.
//!
//! A selector that cannot match anything is refused: an operator would take "0 purged" for the truth.

use uuid::Uuid;

use crate::resource::is_flow_id;

/// A subset of the cache; all of it where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeSelector {
    /// The id of a user flow.
    pub flow: Option<String>,
    /// A tenant's id, as tokens have it in `tid`: a GUID in lower case, with hyphens.
    pub tenant: Option<String>,
    /// A subject's id, as tokens have it in `oid` (a GUID as above) or in `sub`.
    pub subject: Option<String>,
}

impl PurgeSelector {
    /// Reads a query. A name that is unknown, there twice or without a value is refused: a slip must not purge
    /// more, or less, than was meant.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        let mut selection = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let (field, value) = match &*name {
                "flow" => (&mut selection.flow, flow(&value)),
                "tenant" => (&mut selection.tenant, tenant(&value)),
                "subject" => (&mut selection.subject, subject(&value)),
                _ => return Err("the query may hold flow, tenant and subject"),
            };
            if field.is_some() {
                return Err("flow, tenant and subject may each be there once, with a value");
            }
            *field = Some(value?);
        }
        Ok(selection)
    }
}

/// The id of a flow keeps its case: Graph tells ids apart by it.
fn flow(value: &str) -> Result<String, &'static str> {
    let error = "flow must be the id of a user flow: 1 to 128 letters, digits, hyphens and underscores";
    if is_flow_id(value) { Ok(value.to_owned()) } else { Err(error) }
}

fn tenant(value: &str) -> Result<String, &'static str> {
    let error =
        "tenant must be the tenant's id, a GUID like 11111111-2222-3333-4444-555555555555, not a domain name";
    guid(value).ok_or(error)
}

/// An `oid` is a GUID, and so is the `sub` of an application. The `sub` of a user is base64url, 43 characters today. What
/// consists of hexadecimal digits and hyphens alone is a GUID with a slip in it.
fn subject(value: &str) -> Result<String, &'static str> {
    let error = "subject must be an oid, a GUID like 11111111-2222-3333-4444-555555555555, \
        or a sub, 20 to 128 letters, digits, hyphens and underscores; not a name or an address";
    if let Some(guid) = guid(value) {
        return Ok(guid);
    }
    let is_base64url = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let is_broken_guid = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_sub = SUB_LENGTH.contains(&value.len()) && is_base64url && !is_broken_guid;
    if is_sub { Ok(value.to_owned()) } else { Err(error) }
}

/// Reads a GUID in any of its spellings: with braces or parentheses around it, without hyphens, in upper case.
fn guid(value: &str) -> Option<String> {
    let value = value.trim();
    let inner = [('{', '}'), ('(', ')')]
        .iter()
        .find_map(|(open, close)| value.strip_prefix(*open)?.strip_suffix(*close))
        .unwrap_or(value);
    let is_plain = inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let guid = Uuid::try_parse(inner).ok().filter(|_| is_plain)?;
    Some(guid.hyphenated().to_string())
}

/// Length of a `sub` that is no GUID.
const SUB_LENGTH: std::ops::RangeInclusive<usize> = 20..=128;

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb";
    const SUB: &str = "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbta_";

    fn only(query: &str) -> Result<[Option<String>; 3], &'static str> {
        PurgeSelector::parse(query).map(|PurgeSelector { flow, tenant, subject }| [flow, tenant, subject])
    }

    #[test]
    fn no_query_selects_everything() {
        assert_eq!(PurgeSelector::parse(""), Ok(PurgeSelector::default()));
    }

    #[test]
    fn each_name_selects_by_its_value() {
        let expected = PurgeSelector {
            flow: Some("B2C_1-x".into()),
            tenant: Some(GUID.into()),
            subject: Some(SUB.into()),
        };
        let query = format!("subject={SUB}&flow=B2C_1-x&tenant=%7B{GUID}%7D");
        assert_eq!(PurgeSelector::parse(&query), Ok(expected));
    }

    #[test]
    fn a_guid_in_any_spelling_is_the_same_tenant_and_subject() {
        let simple = GUID.replace('-', "");
        let spellings = [
            GUID.to_owned(),
            GUID.to_uppercase(),
            simple.clone(),
            simple.to_uppercase(),
            format!("{{{GUID}}}"),
            format!("%7B{}%7D", GUID.to_uppercase()),
            format!("{{{simple}}}"),
            format!("({GUID})"),
            format!("+{GUID}%20"),
        ];
        for spelling in spellings {
            let guid = Some(GUID.to_owned());
            assert_eq!(only(&format!("tenant={spelling}")), Ok([None, guid.clone(), None]), "{spelling}");
            assert_eq!(only(&format!("subject={spelling}")), Ok([None, None, guid]), "{spelling}");
        }
    }

    #[test]
    fn what_no_token_has_is_refused_with_what_is_expected() {
        for tenant in ["contoso.com", "contoso", "common", &GUID[1..], &format!("{{{GUID}"), SUB, "{{}}"] {
            assert!(
                only(&format!("tenant={tenant}")).is_err_and(|it| it.contains("a GUID like")),
                "{tenant}"
            );
        }
        for subject in [
            "ada",
            "ada@contoso.com",
            &GUID[1..],
            &format!("{GUID}}}"),
            "not-a-guid",
            "x y",
            &"a.".repeat(20),
        ] {
            assert!(only(&format!("subject={subject}")).is_err_and(|it| it.contains("a sub")), "{subject}");
        }
        for flow in ["a b", "a%2Fb", "%C3%A4", &"a".repeat(129)] {
            assert!(only(&format!("flow={flow}")).is_err_and(|it| it.contains("flow must be")), "{flow}");
        }
        assert_eq!(only("flow=B2X_1_Case"), Ok([Some("B2X_1_Case".into()), None, None]), "as it is spelled");
    }

    #[test]
    fn a_slip_purges_nothing() {
        for query in
            ["flow", "flow=", "tenant=", "subject=", "flow=a&flow=a", "Flow=a", "flows=a", "flow=a&x=", "&=a"]
        {
            assert!(PurgeSelector::parse(query).is_err(), "{query}");
        }
    }
}
