//! Paths as logs, messages and `check` show them.

use std::fmt;
use std::path::Path;

/// A path that was configured. Shown where it is plausible, hidden where it may be the secret itself, put where the
/// name of its file should be: no file has that name, no directory that it could lie in exists, and it is not spelled
/// like an ordinary path. Hidden too is the path of no file whose last name looks random.
#[derive(Clone, Copy)]
pub struct ShownPath<'a>(pub &'a Path);

impl ShownPath<'_> {
    /// Whether the path may be a secret. Looks at the file system.
    pub fn is_hidden(self) -> bool {
        let text = self.0.to_string_lossy();
        let is_plain =
            !text.starts_with("ey") && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        // The root and the working directory would be plausible for any text.
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
    let is_hexadecimal = name.len() > MAX_NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mixed && name.len() >= MIN_RANDOM || is_hexadecimal
}

/// Returns whether a text is an absolute path of several short names in lower case. A random secret of some length is not.
fn is_ordinary(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else { return false };
    let is_name = |name: &str| {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain)
    };
    path.contains('/') && path.split('/').all(is_name)
}

/// Length of a name in an ordinary path. A key of 128 bits has 32 hexadecimal digits.
const MAX_NAME: usize = 31;
/// Length of a name from which on capitals, small letters and digits together are no accident.
const MIN_RANDOM: usize = 20;

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hidden() {
            let characters = self.0.to_string_lossy().chars().count();
            return write!(f, "<hidden: {characters} characters, no such file>");
        }
        self.0.display().fmt(f)
    }
}

impl fmt::Debug for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &Path) -> String {
        ShownPath(path).to_string()
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
        assert_eq!(shown(&missing), missing.to_str().unwrap(), "a slip in a name is to be seen");
    }

    #[test]
    fn an_ordinary_path_is_shown_though_nothing_of_it_is_on_this_machine() {
        let path = Path::new("/etc/connector-cache-elsewhere/tls/tls.crt");
        assert_eq!(shown(path), path.to_str().unwrap());
        for text in
            ["/0123456789abcdef0123456789abcdef/x", "/Abc/def", "/abc", "etc/tls/tls.crt", "/a//b", "/a b/c"]
        {
            assert!(ShownPath(Path::new(text)).is_hidden(), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        for secret in ["hunter2", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "/abc+def/ghi==", "/abcdef==", "two words"]
        {
            let hidden = format!("<hidden: {} characters, no such file>", secret.len());
            assert_eq!(shown(Path::new(secret)), hidden);
            assert_eq!(format!("{:?}", ShownPath(Path::new(secret))), hidden);
        }
        for random in ["q7Xv2LmZ9pRt4WcK8sNb", "0123456789abcdef0123456789abcdef"] {
            for path in [format!("/tmp/{random}"), format!("./{random}"), format!("/etc/{random}")] {
                assert!(ShownPath(Path::new(&path)).is_hidden(), "{path}");
            }
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(random);
            std::fs::write(&file, "").unwrap();
            assert_eq!(shown(&file), file.to_str().unwrap(), "there is such a file");
        }
        let long = "x".repeat(5_000);
        assert_eq!(shown(Path::new(&long)), "<hidden: 5000 characters, no such file>");
    }
}
