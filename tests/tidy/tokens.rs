//! As much of Rust's grammar as imports need: names and punctuation, without comments, literals and test code.

/// A name, or one character of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier or keyword.
    Name(String),
    /// Anything else that is neither comment nor literal.
    Mark(char),
}

impl Token {
    /// Whether it is this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(is) if is == name)
    }
}

/// The tokens of a file without its `#[cfg(test)]` items, and the names of the files that are such items.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, Vec<String>) {
    let all = lex(text);
    let (mut kept, mut test_files, mut at) = (Vec::new(), Vec::new(), 0);
    while at < all.len() {
        let Some(after) = test_attribute(&all[at..]).map(|length| at + length) else {
            kept.push(all[at].clone());
            at += 1;
            continue;
        };
        let end = after + item(&all[after..]);
        if let [.., keyword, Token::Name(name), Token::Mark(';')] = &all[after..end]
            && keyword.is("mod")
        {
            test_files.push(name.clone());
        }
        at = end;
    }
    (kept, test_files)
}

/// The length of a leading `#[cfg(test)]`.
fn test_attribute(tokens: &[Token]) -> Option<usize> {
    let marks = |at: usize, mark| tokens.get(at) == Some(&Token::Mark(mark));
    let names = |at: usize, name| tokens.get(at).is_some_and(|token| token.is(name));
    let opens = marks(0, '#') && marks(1, '[') && names(2, "cfg") && marks(3, '(');
    (opens && names(4, "test") && marks(5, ')') && marks(6, ']')).then_some(7)
}

/// The length of one item: up to its semicolon, or to the end of its braces.
fn item(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark(close @ ('}' | ')' | ']')) => {
                depth -= 1;
                if depth == 0 && *close == '}' {
                    return at + 1;
                }
            }
            Token::Mark(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn lex(text: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest));
        let length = skipped.unwrap_or_else(|| {
            let name = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            if name > 0 {
                tokens.push(Token::Name(rest[..name].to_owned()));
            } else if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            name.max(first.len_utf8())
        });
        rest = &rest[length..];
    }
    tokens
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = &text[at..];
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(0, char::len_utf8)
        };
        at += step;
        if depth == 0 || step == 0 {
            return Some(at);
        }
    }
}

/// A string in any of its forms, a character, or the mark of a lifetime.
fn literal(text: &str) -> Option<usize> {
    if text.starts_with("b'") {
        return Some(1 + quoted(&text[1..], '\''));
    }
    if let Some(inside) = text.strip_prefix('\'') {
        let first = inside.chars().next()?;
        if first == '\\' {
            return Some(quoted(text, '\''));
        }
        let is_character = inside[first.len_utf8()..].starts_with('\'');
        return Some(if is_character { 2 + first.len_utf8() } else { 1 });
    }
    if let Some(prefix) = ["\"", "b\"", "c\""].iter().find(|prefix| text.starts_with(**prefix)) {
        let before = prefix.len() - 1;
        return Some(before + quoted(&text[before..], '"'));
    }
    let raw = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// The length of a literal with escapes, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, symbol) in text.char_indices().skip(1) {
        if symbol == quote && !escaped {
            return at + 1;
        }
        escaped = symbol == '\\' && !escaped;
    }
    text.len()
}

fn is_name(symbol: char) -> bool {
    symbol.is_alphanumeric() || symbol == '_'
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"a /* b /* c */ d */ "e \" f" r#"g " h"# b'i' 'j' '\'' &'k // l
        m"##;
    let names: Vec<_> = lex(text).into_iter().filter(|token| matches!(token, Token::Name(_))).collect();
    assert_eq!(names, ["a", "k", "m"].map(|name| Token::Name(name.to_owned())));
}

#[test]
fn test_code_is_left_out_and_test_files_are_named() {
    let text =
        "a; #[cfg(test)] mod tests { fn b() { c } } d; #[cfg(test)] mod e; #[cfg(test)] #[f(g)] fn h() {} i;";
    let (kept, test_files) = tokens(text);
    assert_eq!(kept, lex("a; d; i;"));
    assert_eq!(test_files, ["e"]);
}
