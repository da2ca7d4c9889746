//! Marks before the lines of a command, in the form that the terminal can show.

use std::io::IsTerminal;

/// Result of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Warning,
    Bad,
}

/// Form of the marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Signs outside of ASCII: only on a terminal with UTF-8.
    is_unicode: bool,
    /// Colours: only on a terminal without `NO_COLOR`.
    has_colors: bool,
}

impl Marks {
    /// Returns the form for standard output. `env` has the variables of the environment.
    pub(super) fn for_stdout(env: &[(String, String)]) -> Self {
        Self::new(std::io::stdout().is_terminal(), env)
    }

    fn new(is_terminal: bool, env: &[(String, String)]) -> Self {
        let variable = |name: &str| {
            let value = env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        // The order of POSIX: the first variable that is set counts.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let is_unicode = is_terminal && (locale.contains("utf-8") || locale.contains("utf8"));
        let is_dumb = variable("TERM") == Some("dumb");
        // https://no-color.org: any value but an empty one.
        Self { is_unicode, has_colors: is_terminal && !is_dumb && variable("NO_COLOR").is_none() }
    }

    /// Returns a mark.
    pub(super) fn mark(self, mark: Mark) -> String {
        let (sign, text, color) = match mark {
            Mark::Good => ("✓", "[ok]", 32),
            Mark::Warning => ("!", "[warning]", 33),
            Mark::Bad => ("✗", "[error]", 31),
        };
        let text = if self.is_unicode { sign } else { text };
        if self.has_colors { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(is_terminal: bool, env: &[(&str, &str)]) -> String {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Marks::new(is_terminal, &env).mark(Mark::Bad)
    }

    #[test]
    fn signs_and_colours_are_for_terminals_that_show_them() {
        let utf8 = ("LANG", "en_US.UTF-8");
        assert_eq!(marks(false, &[utf8]), "[error]");
        assert_eq!(marks(true, &[utf8]), "\x1b[31m✗\x1b[0m");
        assert_eq!(marks(true, &[utf8, ("NO_COLOR", "1")]), "✗");
        assert_eq!(marks(true, &[utf8, ("NO_COLOR", "")]), "\x1b[31m✗\x1b[0m");
        assert_eq!(marks(true, &[utf8, ("LC_ALL", "C"), ("NO_COLOR", "1")]), "[error]");
        assert_eq!(marks(true, &[utf8, ("TERM", "dumb")]), "✗");
    }
}
