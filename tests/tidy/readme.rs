//! Sections of the README.

use super::source::read;

/// The lines between a heading and the next one.
pub(crate) fn section(heading: &str) -> Vec<String> {
    let readme = read("README.md");
    let title = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
    let mut lines = readme.lines().skip_while(|line| title(line).as_deref() != Some(heading));
    assert!(lines.next().is_some(), "README.md has no section {heading:?}");
    lines.take_while(|line| title(line).is_none()).map(str::to_owned).collect()
}
