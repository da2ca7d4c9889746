//! Stable GUIDs from plain names.
//!
//! Tests use names such as `ada` and `portal`; Entra ID uses GUIDs. The same name always gives the same GUID. A name
//! that is a GUID is returned unchanged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use uuid::{Builder, Uuid};

/// Returns the object id (`oid`) of a user of a tenant.
pub fn user_id(tenant: &str, user: &str) -> String {
    guid(&["user", tenant, user])
}

/// Returns the application id (`appid`) of an app, which is the same in every tenant.
pub fn app_id(app: &str) -> String {
    guid(&["app", app])
}

/// Returns the object id of an app's service principal in a tenant: `oid` and `sub` of an app-only token.
pub fn service_principal_id(tenant: &str, app: &str) -> String {
    let app = app_id(app);
    guid(&["service principal", &format!("{tenant} {app}")])
}

/// Returns the `sub` of a user in tokens for Graph: pairwise for the audience, the same through every client app.
pub(crate) fn subject(tenant: &str, object: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(&["subject", tenant, object]))
}

/// Returns a GUID for `parts`. If the last part is a GUID, returns that GUID.
pub(crate) fn guid(parts: &[&str]) -> String {
    if let Some(given) = parts.last().and_then(|name| Uuid::try_parse(name).ok()) {
        return given.to_string();
    }
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash(parts)) {
        *byte = hashed;
    }
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn hash(parts: &[&str]) -> Vec<u8> {
    digest(&SHA256, parts.join("\n").as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_always_gives_the_same_guid() {
        assert_eq!(user_id("t", "ada"), user_id("t", "ada"));
    }

    #[test]
    fn the_same_name_in_another_tenant_has_another_guid() {
        assert_ne!(user_id("t", "ada"), user_id("u", "ada"));
    }

    #[test]
    fn a_guid_stays_as_it_is() {
        let given = "5833d6c7-1a2b-4c3d-8e9f-001122334455";
        assert_eq!(app_id(given), given);
    }
}
