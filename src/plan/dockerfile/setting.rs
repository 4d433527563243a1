//! Instructions that only change an image's configuration.

use super::Pair;
use super::arguments;
use super::line::LogicalLine;
use super::parts::InstructionParts;
use super::split::{first_word, quoted_words, words};
use super::{CommandLine, Word};
use crate::error::Result;

/// Reads `KEY=VALUE…`, or the older `KEY VALUE`, where the value is all of the rest.
pub(super) fn pairs(parts: &InstructionParts<'_>, name: &str) -> Result<Vec<Pair>> {
    let words = quoted_words(&parts.rest, parts.escape);
    let Some(first) = words.first() else {
        return Err(parts.missing(format!("`{name}` needs a name and a value"), &format!("{name} NAME=value")));
    };
    if !first.text().contains('=') {
        return match first_word(&parts.rest) {
            (key, Some(value)) => Ok(vec![Pair { key: key.word(), value: value.word() }]),
            (key, None) => Err(parts
                .error(&key, format!("`{name}` has no value for `{}`", key.text()))
                .with_hint(format!("as in `{name} {}=value`", key.text()))),
        };
    }
    let pair = |word: &LogicalLine| match word.split_once('=') {
        None => Err(parts
            .error(word, format!("`{}` has no equals sign", word.text()))
            .with_hint("each is `name=value`; quote a value that holds spaces")),
        Some((key, _)) if key.is_empty() => Err(parts.error(word, "there is no name before the equals sign")),
        Some((key, value)) => Ok(Pair { key: key.word(), value: value.word() }),
    };
    words.iter().map(pair).collect()
}

/// Reads the ports of `EXPOSE`, in the order of their text, as BuildKit sorts them.
pub(super) fn expose(parts: &InstructionParts<'_>) -> Result<Vec<Word>> {
    let mut ports: Vec<Word> = words(&parts.rest).iter().map(LogicalLine::word).collect();
    if ports.is_empty() {
        return Err(parts.missing("`EXPOSE` needs a port", "EXPOSE 8080/tcp"));
    }
    ports.sort_by(|a, b| a.text.cmp(&b.text));
    Ok(ports)
}

/// Reads the paths of `VOLUME`.
pub(super) fn volume(parts: &InstructionParts<'_>) -> Result<Vec<Word>> {
    let mut volumes = arguments::list(parts.text, &parts.rest)?;
    if volumes.is_empty() {
        return Err(parts.missing("`VOLUME` needs a path", "VOLUME /data"));
    }
    for volume in &mut volumes {
        volume.text = volume.text.trim().to_owned();
        if volume.text.is_empty() {
            return Err(parts.error(&parts.rest, "a volume's path cannot be empty"));
        }
    }
    Ok(volumes)
}

/// Reads the words of `SHELL`. Fails for anything but the exec form.
pub(super) fn shell(parts: &InstructionParts<'_>) -> Result<Vec<String>> {
    let example = r#"SHELL ["/bin/bash", "-c"]"#;
    match arguments::command_line(parts.text, &parts.rest)? {
        CommandLine::Exec(arguments) if !arguments.is_empty() => Ok(arguments),
        CommandLine::Shell(word) if !word.text.is_empty() => Err(parts
            .error(&parts.rest, "`SHELL` takes a JSON array of strings")
            .with_hint(format!("as in `{example}`"))),
        _ => Err(parts.missing("`SHELL` needs a program", example)),
    }
}
