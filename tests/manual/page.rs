//! A page: its commands, links and headings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::common::redis::root;

/// A page of the manual.
pub(crate) struct Page {
    /// Path in the repository.
    pub(crate) name: String,
    pub(crate) commands: Vec<Command>,
    /// The first block `toml`, which the commands name `connector-cache.toml`.
    pub(crate) configuration: Option<String>,
    /// Relative links with their lines.
    pub(crate) links: Vec<(usize, String)>,
    /// Anchors of the headings, as GitHub makes them.
    pub(crate) anchors: BTreeSet<String>,
}

/// A command line of a page. A line that ends in a backslash continues in the next one.
pub(crate) struct Command {
    pub(crate) line: usize,
    /// Word after `sh`.
    pub(crate) need: Option<String>,
    pub(crate) text: String,
}

impl Command {
    /// Its line in the list of commands that do not run.
    pub(crate) fn listed(&self, page: &str) -> String {
        format!("{page}: {}", self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Returns README.md and the pages of `docs`.
pub(crate) fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let names = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    let mut names: Vec<_> =
        names.filter(|name| Path::new(name).extension().is_some_and(|is| is == "md")).collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    let read = |name: &String| Page::parse(name, &fs::read_to_string(root().join(name)).unwrap());
    names.iter().map(read).collect()
}

impl Page {
    /// Reads the text of a page.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut page = Self {
            name: name.to_owned(),
            commands: Vec::new(),
            configuration: None,
            links: Vec::new(),
            anchors: BTreeSet::new(),
        };
        let mut fence: Option<Fence> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut fence, line.strip_prefix("```")) {
                (None, Some(info)) => fence = Some(Fence::new(info, number)),
                (None, None) => page.read_prose(number, line),
                (Some(_), Some(_)) => page.close(&fence.take().unwrap()),
                (Some(fence), None) => fence.lines.push(line.to_owned()),
            }
        }
        assert!(fence.is_none(), "{name}: a block without end");
        page
    }

    fn read_prose(&mut self, number: usize, line: &str) {
        if line.starts_with('#') {
            let keep = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | ' ');
            let title = line.trim_start_matches('#').trim().to_lowercase();
            self.anchors
                .insert(title.chars().filter(|char| keep(*char)).collect::<String>().replace(' ', "-"));
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if !target.contains("://") {
                self.links.push((number, target.to_owned()));
            }
        }
    }

    fn close(&mut self, fence: &Fence) {
        match &*fence.language {
            "toml" if self.configuration.is_none() => self.configuration = Some(fence.lines.join("\n")),
            "sh" => {
                let mut text = String::new();
                for (number, line) in (fence.line + 1..).zip(&fence.lines) {
                    text.push_str(line);
                    if let Some(begun) = text.strip_suffix('\\') {
                        text.truncate(begun.len());
                        continue;
                    }
                    self.add(number, fence.need.clone(), std::mem::take(&mut text));
                }
            }
            "console" => {
                for (number, line) in (fence.line + 1..).zip(&fence.lines) {
                    if let Some(text) = line.strip_prefix("$ ") {
                        self.add(number, fence.need.clone(), text.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, line: usize, need: Option<String>, text: String) {
        if !text.trim().is_empty() && !text.starts_with('#') {
            self.commands.push(Command { line, need, text });
        }
    }
}

/// An open block.
struct Fence {
    language: String,
    need: Option<String>,
    line: usize,
    lines: Vec<String>,
}

impl Fence {
    fn new(info: &str, line: usize) -> Self {
        let mut words = info.split_whitespace().map(str::to_owned);
        Self { language: words.next().unwrap_or_default(), need: words.next(), line, lines: Vec::new() }
    }
}
