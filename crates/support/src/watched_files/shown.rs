//! Paths in logs, messages and the output of `check`.

use std::fmt;
use std::path::Path;

/// A configured path. A plausible path is shown. A path is hidden if it may be a secret that was written in place of the
/// path of its file: no such file exists, its directory does not exist, and it is not spelled like an ordinary
/// path. A path of no existing file whose last name looks random is hidden too.
#[derive(Clone, Copy)]
pub struct DisplayPath<'a>(pub &'a Path);

impl DisplayPath<'_> {
    /// Returns whether the path may be a secret. Reads the file system.
    pub fn is_hidden(self) -> bool {
        let text = self.0.to_string_lossy();
        let is_plain =
            !text.starts_with("ey") && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        // The root and the working directory would make any text plausible.
        let is_plausible = is_plain
            && self.0.parent().is_some_and(|directory| directory.parent().is_some() && directory.is_dir());
        let is_shown = is_plausible && !is_random(&text) || is_ordinary(&text);
        !is_shown && !self.0.exists()
    }
}

/// Returns whether the name of the file looks like a key or a password and not like a name.
fn is_random(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let has = |is: fn(&u8) -> bool| name.bytes().any(|byte| is(&byte));
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    let is_hexadecimal = name.len() > MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mixed && name.len() >= MIN_RANDOM_BYTES || is_hexadecimal
}

/// Returns whether a text is an absolute path of several short names in lower case, which a long random secret is not.
fn is_ordinary(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else { return false };
    let is_name = |name: &str| {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
    };
    path.contains('/') && path.split('/').all(is_name)
}

/// Maximum length of a name in an ordinary path. A key of 128 bits has 32 hexadecimal digits.
const MAX_NAME_BYTES: usize = 31;
/// Minimum length of a name with capitals, small letters and digits that counts as random.
const MIN_RANDOM_BYTES: usize = 20;

impl fmt::Display for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hidden() {
            let characters = self.0.to_string_lossy().chars().count();
            return write!(f, "<hidden: {characters} characters, no such file>");
        }
        self.0.display().fmt(f)
    }
}

impl fmt::Debug for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &Path) -> String {
        DisplayPath(path).to_string()
    }

    #[test]
    fn a_path_that_is_plausible_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["there", "ey there"] {
            let file = directory.path().join(name);
            std::fs::write(&file, "").unwrap();
            assert_eq!(shown(&file), file.to_str().unwrap());
        }
        let missing = directory.path().join("missing");
        assert_eq!(shown(&missing), missing.to_str().unwrap(), "a misspelt name is shown");
    }

    #[test]
    fn an_ordinary_path_is_shown_even_if_it_does_not_exist() {
        let path = Path::new("/etc/connector-cache-elsewhere/tls/tls.crt");
        assert_eq!(shown(path), path.to_str().unwrap());
        for text in
            ["/0123456789abcdef0123456789abcdef/x", "/Abc/def", "/abc", "etc/tls/tls.crt", "/a//b", "/a b/c"]
        {
            assert!(DisplayPath(Path::new(text)).is_hidden(), "{text}");
        }
    }

    #[test]
    fn a_path_that_may_be_a_secret_is_hidden() {
        for secret in ["hunter2", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "/abc+def/ghi==", "/abcdef==", "two words"]
        {
            let hidden = format!("<hidden: {} characters, no such file>", secret.len());
            assert_eq!(shown(Path::new(secret)), hidden);
            assert_eq!(format!("{:?}", DisplayPath(Path::new(secret))), hidden);
        }
        for random in ["q7Xv2LmZ9pRt4WcK8sNb", "0123456789abcdef0123456789abcdef"] {
            for path in [format!("/tmp/{random}"), format!("./{random}"), format!("/etc/{random}")] {
                assert!(DisplayPath(Path::new(&path)).is_hidden(), "{path}");
            }
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(random);
            std::fs::write(&file, "").unwrap();
            assert_eq!(shown(&file), file.to_str().unwrap(), "the file exists");
        }
        let long = "x".repeat(5_000);
        assert_eq!(shown(Path::new(&long)), "<hidden: 5000 characters, no such file>");
    }
}
