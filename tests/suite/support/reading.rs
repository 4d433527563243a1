//! What reading a Dockerfile gives, in forms that are short to compare.

use ocibake::error::Error;
use ocibake::plan::dockerfile::{Command, Dockerfile, LintRule, Word};

pub fn read(text: impl AsRef<[u8]>) -> Dockerfile {
    Dockerfile::read("Dockerfile", text.as_ref()).unwrap_or_else(|error| panic!("{}", shown(&error)))
}

/// As the command line shows it.
pub fn shown(error: &Error) -> String {
    let excerpt = error.excerpt.as_ref().map(|excerpt| format!("\n{excerpt}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{error}{excerpt}{hint}")
}

pub fn refusal(text: impl AsRef<[u8]>) -> String {
    let bytes = text.as_ref();
    match Dockerfile::read("Dockerfile", bytes) {
        Err(error) => shown(&error),
        Ok(_) => panic!("it was read: {}", String::from_utf8_lossy(bytes)),
    }
}

/// What `lines` say in a stage of their own.
pub fn commands(lines: &str) -> Vec<Command> {
    let mut dockerfile = read(format!("FROM scratch\n{lines}\n"));
    assert_eq!(dockerfile.stages.len(), 1, "{lines}");
    dockerfile.stages.remove(0).instructions.into_iter().map(|instruction| instruction.command).collect()
}

pub fn command(line: &str) -> Command {
    let mut commands = commands(line);
    assert_eq!(commands.len(), 1, "{line}");
    commands.remove(0)
}

/// The error for a line in a stage.
pub fn refused(line: &str) -> String {
    refusal(format!("FROM scratch\n{line}\n"))
}

pub fn texts<'a>(words: impl IntoIterator<Item = &'a Word>) -> Vec<&'a str> {
    words.into_iter().map(|word| word.text.as_str()).collect()
}

pub fn text(word: &Option<Word>) -> Option<&str> {
    word.as_ref().map(|word| word.text.as_str())
}

/// The rules that the text breaks, with the lines, those left out that `# check=` does not want.
pub fn findings(text: &str) -> Vec<(LintRule, usize)> {
    let dockerfile = read(text);
    let wanted = dockerfile.warnings.iter().filter(|warning| dockerfile.wants(warning));
    wanted.map(|warning| (warning.rule, warning.place.line)).collect()
}
