//! What a page of the documentation shows, as its Markdown has it.

use std::fs;
use std::path::Path;

/// A block of a page, in its order.
#[derive(Debug)]
pub struct Block {
    /// Where it begins, counted from one.
    pub line: usize,
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ```` ```sh ````, or a comment `<!-- prepare … -->`, which readers do not see: commands.
    Commands,
    /// ```` ```console ````: commands behind `$ `, each with what it prints.
    Session,
    /// A file that begins with a comment that is its path alone, or part of a file, which no path is given to.
    File { path: Option<String> },
    /// ```` ```text ````: no commands.
    Text,
    /// Below `<!-- only read: REASON -->`: commands that need what no test has. They are read as far as their flags go.
    Read { is_session: bool },
    /// Below `<!-- run by PATH -->`: the test that runs it is there.
    Elsewhere { path: String },
}

/// Returns the blocks of the page at `path`, relative to the top of the project.
pub fn blocks(path: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut lines = text.lines().enumerate();
    let mut blocks = Vec::new();
    let mut mark = None;
    while let Some((number, line)) = lines.next() {
        let mut until = |end: &str| {
            let taken = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != end);
            taken.map(|line| format!("{line}\n")).collect::<String>()
        };
        if line == "<!-- prepare" {
            blocks.push(Block { line: number + 1, kind: Kind::Commands, text: until("-->") });
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            let comment = comment.strip_suffix(" -->").unwrap_or_else(|| panic!("{path}:{}: {line}", number + 1));
            mark = Some(comment.to_owned());
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            let text = until("```");
            let kind = kind(language, &text, mark.take());
            let kind = kind.unwrap_or_else(|why| panic!("{path}:{}: {why}", number + 1));
            blocks.push(Block { line: number + 1, kind, text });
        }
    }
    assert_eq!(mark, None, "{path}: a mark without a block");
    blocks
}

fn kind(language: &str, text: &str, mark: Option<String>) -> Result<Kind, String> {
    if let Some(mark) = mark {
        return match mark.split_once(": ") {
            Some(("only read", reason)) if !reason.is_empty() => Ok(Kind::Read { is_session: language == "console" }),
            _ => match mark.strip_prefix("run by ") {
                Some(path) => Ok(Kind::Elsewhere { path: path.to_owned() }),
                None => Err(format!("no mark is `{mark}`")),
            },
        };
    }
    match language {
        "sh" => Ok(Kind::Commands),
        "console" => Ok(Kind::Session),
        "text" => {
            let is_command = |line: &str| ["$ ", "ocibake ", "docker "].iter().any(|start| line.starts_with(start));
            let command = text.lines().find(|line| is_command(line));
            command.map_or(Ok(Kind::Text), |line| Err(format!("`{line}` is a command in a block of text")))
        }
        "toml" | "dockerfile" | "yaml" | "hcl" | "ini" => Ok(Kind::File { path: path_of(text) }),
        _ => Err(format!("no test knows what to do with a block of `{language}`")),
    }
}

/// The path in the first line: `# path/of.file`.
fn path_of(text: &str) -> Option<String> {
    let path = text.lines().next()?.strip_prefix("# ")?;
    let is_path = !path.contains(' ') && (path.contains('.') || path.ends_with("Dockerfile"));
    is_path.then(|| path.to_owned())
}

/// A command of a session, and the lines that it is shown to print.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub command: String,
    pub printed: Vec<String>,
}

/// Returns the commands of the session `text`.
pub fn session(text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let last = shown.last_mut();
        match (line.strip_prefix("$ "), last) {
            (_, Some(last)) if goes_on => last.command = format!("{}\n{line}", last.command),
            (Some(command), _) => shown.push(Shown { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(last)) => last.printed.push(line.to_owned()),
            (None, None) => panic!("the session does not begin with a command: {line}"),
        }
        goes_on = shown.last().is_some_and(|last| last.printed.is_empty()) && line.ends_with('\\');
    }
    shown
}

/// Returns the first of the lines `shown` that `printed` does not have behind those before it; `…` stands for anything.
pub fn missing<'a>(shown: &'a [String], printed: &str) -> Option<&'a str> {
    let mut lines = printed.lines();
    shown.iter().map(String::as_str).find(|shown| !lines.any(|line| is_shown(shown.trim_end(), line.trim_end())))
}

fn is_shown(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn sessions_are_commands_with_what_they_print() {
    let shown = session("$ a \\\n    b\none\ntwo\n$ c\n");
    let printed = ["one", "two"].map(str::to_owned).to_vec();
    let first = Shown { command: "a \\\n    b".to_owned(), printed };
    assert_eq!(shown, [first, Shown { command: "c".to_owned(), printed: Vec::new() }]);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(missing(&lines("one\nsha256:…  new"), "zero\none\nsha256:12  new\n"), None);
    assert_eq!(missing(&lines("sha256:…  new\none"), "one\nsha256:12  new\n"), Some("one"));
    assert_eq!(missing(&lines("a…b"), "ab c\n"), Some("a…b"));
    assert_eq!(missing(&lines("a…b…c"), "a-b-bc\n"), None);
}
