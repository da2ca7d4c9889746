//! Claims in a form that does not identify a person.
//!
//! The output is meant for tickets and chats. Of a user (`oid`, `sub`) it has only the form, because the first characters
//! of a GUID are enough to find the user in a directory. Of a tenant and an application it has four characters, and names of
//! permissions are shown whole.

use crate::auth::ClaimPart;

/// Returns the values of a claim for the output.
pub(super) fn shorten(part: &ClaimPart) -> String {
    let Some(values) = &part.values else { return "absent".to_owned() };
    if values.is_empty() {
        return "empty".to_owned();
    }
    values.iter().map(|value| one(part.name, value)).collect::<Vec<_>>().join(" ")
}

/// Returns one value of a claim for the output.
pub(super) fn one(claim: &str, value: &str) -> String {
    let length = value.chars().count();
    match claim {
        "idtyp" if matches!(value, "app" | "user" | "device") => value.to_owned(),
        "scp" | "roles" if is_permission(value) => value.to_owned(),
        "tid" | "app" | "wids" if is_guid(value) => {
            let begin: String = value.chars().take(SHOWN_CHARACTERS).collect();
            format!("{begin}... (a GUID)")
        }
        _ if value.is_empty() => "(empty)".to_owned(),
        _ if is_guid(value) => "(hidden: a GUID)".to_owned(),
        _ => format!("(hidden: {length} characters)"),
    }
}

/// Returns whether a text has the form of a permission of Graph: `User.Read.All`, `openid`.
fn is_permission(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|char: char| char.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    };
    let is_openid = ["openid", "profile", "email", "offline_access"].contains(&text);
    is_openid || (text.contains('.') && text.len() <= MAX_PERMISSION_BYTES && text.split('.').all(is_word))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

const SHOWN_CHARACTERS: usize = 4;
const MAX_PERMISSION_BYTES: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb";

    #[test]
    fn the_values_of_a_user_are_hidden() {
        assert_eq!(one("oid", GUID), "(hidden: a GUID)");
        assert_eq!(one("sub", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbta_"), "(hidden: 43 characters)");
        assert_eq!(one("tid", "contoso.com"), "(hidden: 11 characters)");
        assert_eq!(one("roles", "ada@contoso.com"), "(hidden: 15 characters)");
        assert_eq!(one("scp", "ada"), "(hidden: 3 characters)");
    }

    #[test]
    fn tenants_and_applications_are_shortened_and_permissions_are_shown() {
        assert_eq!(one("tid", GUID), "aaaa... (a GUID)");
        assert_eq!(one("app", GUID), "aaaa... (a GUID)");
        assert_eq!(one("scp", "IdentityUserFlow.Read.All"), "IdentityUserFlow.Read.All");
        assert_eq!(one("idtyp", "app"), "app");
    }
}
