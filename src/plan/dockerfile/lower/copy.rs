//! `COPY` and `ADD`.

use super::Lowering;
use super::made::StageState;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::plan::dockerfile::word::Lexer;
use crate::plan::dockerfile::{AddCommand, CopyCommand, Heredoc, Instruction, Transfer, Warning};
use crate::plan::{Copy, CopyItem, GitUrl, ImagePath, Provider, Work, is_http, shown_url};
use crate::tree::{Mode, path, pattern::from_root};

impl Lowering<'_, '_> {
    /// Adds the step of `COPY` in the stage `number`.
    pub fn copy(
        &mut self,
        state: &mut StageState,
        number: usize,
        copy: &CopyCommand,
        instruction: &Instruction,
    ) -> Result<()> {
        let from = match &copy.from {
            None => Provider::Context(0),
            Some(word) => {
                let at = |error: Error| Error {
                    excerpt: error.excerpt.or_else(|| Some(Box::new(instruction.excerpt(&word.span)))),
                    ..error
                };
                let plain = Lexer::new(self.dockerfile.directives.escape).expand(&word.text, &|_| None);
                if plain.is_ok_and(|plain| plain.text != word.text) {
                    return Err(at(Error::input("`--from` cannot have variables or quotes").with_hint(
                        "give the image a name with a stage of its own, `FROM $IMAGE AS name`, and copy from that",
                    )));
                }
                self.provider(&word.text, number).map_err(at)?
            }
        };
        let transfer = &copy.transfer;
        let mut sources = self.expand_all(state, instruction, &transfer.sources)?;
        for (source, word) in sources.iter().zip(&transfer.sources) {
            if is_http(source) || GitUrl::of_source(source)?.is_some() {
                let place = instruction.excerpt(&word.span);
                return Err(Error::input(format!("COPY cannot download `{}`", shown_url(source)))
                    .with_excerpt(place)
                    .with_hint("ADD can"));
            }
        }
        for source in &mut sources {
            *source = state.slashed(std::mem::take(source))?;
        }
        if copy.from.is_none() {
            self.note_ignored("Copy", &sources, instruction)?;
        }
        let items = sources.into_iter().map(CopyItem::Pattern).collect();
        let (work, written) = self.transfer(state, transfer, items, instruction)?;
        push(state, "COPY", Copy { from, parents: copy.parents, ..work }, &written, instruction);
        Ok(())
    }

    /// Adds the step of `ADD`.
    pub fn add(&mut self, state: &mut StageState, add: &AddCommand, instruction: &Instruction) -> Result<()> {
        let transfer = &add.transfer;
        let checksum = match &add.checksum {
            Some(word) => Some((self.expand(state, instruction, word)?, word)).filter(|(sum, _)| !sum.is_empty()),
            None => None,
        };
        if let Some((_, word)) = checksum.as_ref().filter(|_| transfer.sources.len() + transfer.texts.len() != 1) {
            let error = Error::input("`--checksum` applies to one source only");
            return Err(error.with_excerpt(instruction.excerpt(&word.span)).with_hint("write an ADD for each of them"));
        }
        let sources = self.expand_all(state, instruction, &transfer.sources)?;
        let mut items = Vec::with_capacity(sources.len());
        let mut paths = Vec::new();
        for (source, word) in sources.into_iter().zip(&transfer.sources) {
            let place = || instruction.excerpt(&word.span);
            let repository = GitUrl::of_source(&source).map_err(|error| error.with_excerpt(place()))?;
            items.push(match repository {
                Some(url) => {
                    if let (Some(flag), Some(query)) = (add.keep_git_dir, url.keep_git_dir)
                        && flag != query
                    {
                        let error = Error::input("`--keep-git-dir` and the query of the URL contradict each other");
                        return Err(error.with_excerpt(place()));
                    }
                    let keep_git_dir = url.keep_git_dir.or(add.keep_git_dir).unwrap_or(false);
                    CopyItem::Git { url, keep_git_dir, checksum: checksum.as_ref().map(|(sum, _)| sum.clone()) }
                }
                None if is_http(&source) => {
                    let sum = checksum.as_ref().map(|(sum, word)| {
                        sum.parse::<Digest>().map_err(|error| error.with_excerpt(instruction.excerpt(&word.span)))
                    });
                    CopyItem::Url { url: source, checksum: sum.transpose()? }
                }
                None => {
                    if let Some((_, word)) = &checksum {
                        let error = Error::input("`--checksum` applies to downloads, and this source is not one");
                        return Err(error.with_excerpt(instruction.excerpt(&word.span)));
                    }
                    let source = state.slashed(source)?;
                    paths.push(source.clone());
                    CopyItem::Pattern(source)
                }
            });
        }
        self.note_ignored("Add", &paths, instruction)?;
        let (work, written) = self.transfer(state, transfer, items, instruction)?;
        push(state, "ADD", Copy { unpack: add.unpack, is_add: true, ..work }, &written, instruction);
        Ok(())
    }

    /// Returns what `COPY` and `ADD` share, as if from the first context; the texts come behind `items`. And what of it is
    /// told as it was written.
    fn transfer(
        &mut self,
        state: &StageState,
        transfer: &Transfer,
        mut items: Vec<CopyItem>,
        instruction: &Instruction,
    ) -> Result<(Copy, Written)> {
        items.extend(self.texts(state, &transfer.texts, instruction)?);
        let owner = match &transfer.chown {
            Some(word) => Some(self.expand(state, instruction, word)?).filter(|owner| !owner.is_empty()),
            None => None,
        };
        let mut written = Written::default();
        let mode = match &transfer.chmod {
            Some(word) => {
                written.mode = Some(self.expand(state, instruction, word)?).filter(|text| !text.is_empty());
                let mode = written.mode.as_deref().map(Mode::parse).transpose();
                mode.map_err(|error| error.with_excerpt(instruction.excerpt(&word.span)))?
            }
            None => None,
        };
        let to = state.slashed(self.expand(state, instruction, &transfer.to)?)?;
        let path = state.path(&to)?;
        path::check_written(path.as_bytes())
            .map_err(|error| error.with_excerpt(instruction.excerpt(&transfer.to.span)))?;
        let into = to.is_empty() || to == "." || to.ends_with('/') || to.ends_with("/.") || path.is_empty();
        let exclude = self.expand_all(state, instruction, &transfer.exclude)?;
        let plain = Copy::new(Provider::Context(0), items, ImagePath { path, into });
        written.to = to;
        Ok((Copy { owner, mode, exclude, link: transfer.link, ..plain }, written))
    }

    fn texts(&mut self, state: &StageState, texts: &[Heredoc], instruction: &Instruction) -> Result<Vec<CopyItem>> {
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            let content = text.stripped();
            let content = match text.expand {
                true => self.expand_content(state, instruction, &content)?,
                false => content,
            };
            items.push(CopyItem::Text { name: text.name.clone(), content: content.into() });
        }
        Ok(items)
    }

    fn note_ignored(&mut self, verb: &str, sources: &[String], instruction: &Instruction) -> Result<()> {
        for source in sources {
            let path = from_root(source);
            if (self.request.ignores)(&path) {
                let place = instruction.excerpt(&instruction.span);
                let shown = match (source.starts_with('/'), path.is_empty()) {
                    (true, _) => format!("/{path}"),
                    (false, true) => ".".to_owned(),
                    (false, false) => path,
                };
                self.warn(Warning::copy_ignored_file(verb, &shown, place))?;
            }
        }
        Ok(())
    }
}

/// What the history tells as it was written, variables aside.
#[derive(Default)]
struct Written {
    mode: Option<String>,
    to: String,
}

/// Adds the step to the stage. The line of the history is BuildKit's.
fn push(state: &mut StageState, name: &str, work: Copy, written: &Written, instruction: &Instruction) {
    let title = line(name, &work, None, &work.to.to_string());
    let created_by = line(name, &work, written.mode.as_deref(), &written.to) + " # buildkit";
    state.push_with_history(title, created_by, Work::Copy(work), instruction.excerpt(&instruction.span));
}

/// Returns the instruction `name` in a line.
fn line(name: &str, copy: &Copy, mode: Option<&str>, to: &str) -> String {
    let mut title = name.to_owned();
    let mut add = |text: &str| {
        title.push(' ');
        title.push_str(text);
    };
    if copy.parents {
        add("--parents");
    }
    if let Some(owner) = &copy.owner {
        add(&format!("--chown={owner}"));
    }
    if let Some(mode) = mode {
        add(&format!("--chmod={mode}"));
    }
    for item in &copy.items {
        match item {
            CopyItem::Pattern(pattern) => add(pattern),
            CopyItem::Text { name, .. } => add(&format!("<<{name}")),
            // What may be a key to it is nobody else's business.
            CopyItem::Url { url, .. } => add(&shown_url(url)),
            CopyItem::Git { url, .. } => add(&url.to_string()),
        }
    }
    add(to);
    title
}
