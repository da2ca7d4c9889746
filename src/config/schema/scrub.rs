//! Keys of `scrub.*`.

use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{NameList, OneOf, ShortText};
use crate::scrub;

/// Reads the settings of the scrubber.
pub(in crate::config) fn read(r: &mut ConfigReader) -> scrub::Config {
    let default = scrub::Config::default();
    let scrub = scrub::Config {
        mask: r.get(key("scrub.mask", "Text that replaces a credential."), &ShortText, default.mask),
        usernames: r.get(
            key("scrub.usernames", "Treatment of user names in authentication configurations."),
            &OneOf::new(),
            default.usernames,
        ),
        unknown: r.get(
            key(
                "scrub.unknown",
                "Treatment of strings that Graph's schema does not contain. `\"keep\"` still masks strings whose name \
                 contains a credential word.",
            ),
            &OneOf::new(),
            default.unknown,
        ),
        allow_fields: r.get(
            key(
                "scrub.allow_fields",
                "Names of members outside Graph's schema whose text is no credential, in Graph's spelling. Credentials \
                 inside the text are still masked.",
            ),
            &NameList,
            default.allow_fields,
        ),
        extra_fields: r.get(
            key("scrub.extra_fields", "Additional names of members to mask, in any spelling."),
            &NameList,
            default.extra_fields,
        ),
        keep_query: r.get(
            key("scrub.keep_query", "Query parameters of a target URL whose values are not masked."),
            &NameList,
            default.keep_query,
        ),
    };
    if scrub.allow_fields.iter().any(|name| scrub.extra_fields.contains(name)) {
        r.conflict(
            ["scrub.allow_fields", "scrub.extra_fields"],
            "a member is either allowed or masked: expected each name in one of the two lists",
        );
    }
    scrub
}
