//! `COPY` and `ADD`.

use super::flags::{FlagKind, Flags};
use super::line::LogicalLine;
use super::parts::InstructionParts;
use super::{AddCommand, CopyCommand, Heredoc, Transfer, Word, arguments, heredoc};
use crate::error::Result;

/// Reads `COPY`.
pub(super) fn copy(parts: &InstructionParts<'_>) -> Result<CopyCommand> {
    let (transfer, flags) = transfer(
        parts,
        "COPY",
        &[
            ("from", FlagKind::Text),
            ("chown", FlagKind::Text),
            ("chmod", FlagKind::Text),
            ("link", FlagKind::Switch),
            ("parents", FlagKind::Switch),
            ("exclude", FlagKind::Texts),
        ],
    )?;
    Ok(CopyCommand { transfer, from: flags.text("from"), parents: flags.switch("parents").unwrap_or(false) })
}

/// Reads `ADD`.
pub(super) fn add(parts: &InstructionParts<'_>) -> Result<AddCommand> {
    let (transfer, flags) = transfer(
        parts,
        "ADD",
        &[
            ("chown", FlagKind::Text),
            ("chmod", FlagKind::Text),
            ("link", FlagKind::Switch),
            ("checksum", FlagKind::Text),
            ("keep-git-dir", FlagKind::Switch),
            ("unpack", FlagKind::Switch),
            ("exclude", FlagKind::Texts),
        ],
    )?;
    Ok(AddCommand {
        transfer,
        checksum: flags.text("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

/// Returns what both have, and all flags of the one that is called `name`, which has the `known` ones.
fn transfer(parts: &InstructionParts<'_>, name: &str, known: &[(&'static str, FlagKind)]) -> Result<(Transfer, Flags)> {
    let (words, to) = operands(parts, name)?;
    let flags = parts.flags(known)?;
    let mut sources = Vec::new();
    let mut texts = Vec::new();
    for word in words {
        match heredoc::opening(&word.text) {
            None => sources.push(word),
            Some(opening) => texts.push(with_content(opening, &parts.heredocs, word)),
        }
    }
    let transfer = Transfer {
        sources,
        texts,
        to,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.values("exclude").map(LogicalLine::word).collect(),
    };
    Ok((transfer, flags))
}

/// Returns what is copied, at least one, and where to.
fn operands(parts: &InstructionParts<'_>, name: &str) -> Result<(Vec<Word>, Word)> {
    let mut words = arguments::list(parts.text, &parts.rest)?;
    let to = words.pop().filter(|_| !words.is_empty()).ok_or_else(|| {
        parts.missing(format!("`{name}` needs at least one source and a destination"), &format!("{name} app /usr/bin/"))
    })?;
    if heredoc::opening(&to.text).is_some() {
        return Err(parts
            .error(&parts.rest, format!("a heredoc cannot be the destination of `{name}`"))
            .with_hint(format!("the destination comes last, as in `{name} <<EOF /etc/motd`")));
    }
    Ok((words, to))
}

/// Returns `opening` with its content: of heredocs of one name the last one's counts, as in BuildKit.
fn with_content(opening: Heredoc, heredocs: &[Heredoc], word: Word) -> Heredoc {
    match heredocs.iter().rev().find(|heredoc| heredoc.name == opening.name) {
        Some(found) => Heredoc { content: found.content.clone(), span: found.span.clone(), ..opening },
        None => Heredoc { span: word.span, ..opening },
    }
}
