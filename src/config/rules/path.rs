//! Rule for the paths of files.

use std::path::PathBuf;

use super::text::is_plain;
use crate::config::redaction::is_secret;
use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, literal};
use crate::support::watched_files::DisplayPath;

/// The path of a file. The rule does not open the file.
pub(in crate::config) struct FilePath;

impl Rule for FilePath {
    type Value = PathBuf;

    fn parse(&self, raw: &RawValue) -> Option<PathBuf> {
        let RawValue::Text(text) = raw else { return None };
        (is_plain(text, MAX_PATH_CHARS) && !is_secret(text)).then(|| PathBuf::from(text))
    }

    fn write(&self, value: &PathBuf) -> String {
        literal(&value.to_string_lossy())
    }

    fn redact(&self, value: &PathBuf) -> Option<String> {
        let path = DisplayPath(value);
        path.is_hidden().then(|| path.to_string())
    }

    fn echo(&self, raw: &RawValue) -> String {
        match raw {
            RawValue::Text(text) if !text.is_empty() && !is_secret(text) => {
                self.redact(&PathBuf::from(text)).unwrap_or_else(|| raw.echo())
            }
            RawValue::Text(_) => raw.echo(),
            // The value may be the content of the file, in any form.
            _ => raw.echo_length(),
        }
    }

    fn form(&self) -> ValueForm {
        ValueForm::Path
    }

    fn accepted(&self) -> String {
        "the path of a file (the path, not its content)".to_owned()
    }
}

/// Length of the longest path on Linux.
const MAX_PATH_CHARS: usize = 4096;
