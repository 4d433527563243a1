use std::sync::Arc;

use super::{Place, Stages};
use crate::build::contexts::Missing;
use crate::error::{ErrorKind, Result};
use crate::plan::{Copy, Item, Provider, Work};
use crate::progress::Event;
use crate::source::archive;
use crate::source::modified::Modified;
use crate::tree::{
    Attributes, Content, Copier, Entry, Files, Ignore, Kind, Matched, Node, Object, Pivot, Reason, Target, Time,
    has_wildcard, joined, lay_over, matched, not_there, owner, parent, pattern::from_root,
};

/// Where a copy takes files from, and what errors call it.
struct Provided {
    files: Files,
    title: String,
    missing: Missing,
}

impl<'a> Stages<'a> {
    /// Does `work`, which stands at `place`: what it changes, and, where that had to be known, the file system that it
    /// leaves.
    pub(super) fn run(&mut self, place: Place, work: &'a Work) -> Result<(Arc<Vec<Entry>>, Option<Files>)> {
        let (files, entries) = match work {
            Work::Nothing => return Ok((Arc::default(), None)),
            Work::Adds(adds) => {
                let below = self.taken(place)?;
                if below.is_empty() {
                    return Ok((self.added(adds)?.entries.clone(), None));
                }
                let target = Target::new(below, None, self.options.modified.of_made(), self.budget.clone());
                let added = self.added(adds)?;
                lay_over(&added.entries, &added.roles, target)?
            }
            Work::Directory { path, owner } => {
                let owner = self.owner(owner.as_deref(), place)?;
                let mut target =
                    Target::new(self.taken(place)?, owner, self.options.modified.of_made(), self.budget.clone());
                let path = target.files().real(path.as_bytes())?;
                target.make_directory(&path)?;
                target.finish()?
            }
            Work::Copy(copy) => {
                let owner = self.owner(copy.owner.as_deref(), place)?;
                if stands_alone(copy) {
                    let mut target =
                        Target::new(Files::new(), owner, self.options.modified.of_made(), self.budget.clone());
                    self.copy(copy, owner, &mut target)?;
                    return Ok((Arc::new(target.finish()?.1), None));
                }
                let mut target =
                    Target::new(self.taken(place)?, owner, self.options.modified.of_made(), self.budget.clone());
                self.copy(copy, owner, &mut target)?;
                target.finish()?
            }
        };
        Ok((Arc::new(entries), Some(files)))
    }

    /// Whom `owner` means at `place`.
    fn owner(&mut self, owner: Option<&str>, place: Place) -> Result<Option<(u32, u32)>> {
        let Some(owner) = owner else { return Ok(None) };
        let files = if owner::is_known(owner) { Files::new() } else { self.files(place.0, place.1)? };
        let found = owner::find(owner, &files, &mut |files, path| self.bases.read(files, path))?;
        if found.is_unknown {
            let title = &self.step(place.0, place.1)?.title;
            let message =
                format!("`{owner}` is not known in the image, and so it is root's, as docker has it: {title}");
            (self.options.progress)(Event::Warning { message: &message });
        }
        Ok(Some((found.user, found.group)))
    }

    fn copy(&mut self, copy: &'a Copy, owner: Option<(u32, u32)>, target: &mut Target) -> Result<()> {
        let time = match self.options.modified {
            Modified::At(time) => Some(time),
            Modified::Preserve => None,
        };
        let exclude = Ignore::new(copy.exclude.iter().map(String::as_str))?;
        let copier = Copier { to: &copy.to.path, into: copy.to.into, owner, mode: copy.mode.as_ref(), time, exclude };
        for item in &copy.items {
            match item {
                Item::Pattern(pattern) => {
                    let provided = self.provided(copy)?;
                    if copy.parents {
                        self.copy_parents(&copier, &provided, pattern, target)?;
                    } else {
                        self.copy_pattern(copy, &copier, &provided, pattern, target)?;
                    }
                }
                Item::Text { name, content } => {
                    let content = Content::Bytes(content.as_bytes().into());
                    let node = file(content, 0o644, self.options.modified.of_made());
                    copier.copy(&named(name, &node), None, target)?;
                }
                Item::Url { url, checksum } => {
                    let downloaded = self.sources.downloaded(url, *checksum)?;
                    let node = file(downloaded.content, 0o600, downloaded.modified);
                    let source = named(&downloaded.name, &node);
                    if !(copy.unpack == Some(true) && self.unpack(&copier, &source, target)?) {
                        copier.copy(&source, None, target)?;
                    }
                }
                Item::Git { url, keep_git_dir, checksum } => {
                    let files = self.sources.repository(url, *keep_git_dir, checksum.as_deref())?;
                    matched(&files, "/", "the repository")?
                        .iter()
                        .try_for_each(|root| copier.copy(root, None, target))?;
                }
            }
        }
        Ok(())
    }

    fn provided(&mut self, copy: &Copy) -> Result<Provided> {
        Ok(match &copy.from {
            Provider::Context(number) => {
                let context = self.contexts.get(*number)?;
                let (files, title) = (context.files.clone(), context.title.clone());
                Provided { files, title, missing: context.missing.clone() }
            }
            Provider::Stage(number) => {
                let title = format!("the stage {}", self.stage(*number)?.title);
                Provided { files: self.last_files(*number)?, title, missing: Missing::default() }
            }
            Provider::Image(image) => {
                let title = format!("the image {}", image.name);
                Provided { files: self.bases.files(image)?, title, missing: Missing::default() }
            }
        })
    }

    fn copy_pattern(
        &mut self,
        copy: &Copy,
        copier: &Copier<'_>,
        provided: &Provided,
        pattern: &str,
        target: &mut Target,
    ) -> Result<()> {
        let found = provided.matched(pattern)?;
        if found.is_empty() {
            let message = format!("nothing in {} matches `{pattern}`, and so nothing is copied", provided.title);
            (self.options.progress)(Event::Warning { message: &message });
        }
        for source in &found {
            self.check_missing(copier, provided, source, None)?;
            if !(copy.unpack.unwrap_or(copy.is_add) && self.unpack(copier, source, target)?) {
                copier.copy(source, None, target)?;
            }
        }
        Ok(())
    }

    fn copy_parents(
        &mut self,
        copier: &Copier<'_>,
        provided: &Provided,
        pattern: &str,
        target: &mut Target,
    ) -> Result<()> {
        let Pivot { start, pattern } = Pivot::of(pattern);
        let only = Ignore::new([pattern.as_str()])?;
        let starts = provided.matched(&start)?;
        if !has_wildcard(&start) && !has_wildcard(&pattern) {
            let path = joined(start.as_bytes(), pattern.as_bytes());
            if provided.files.get(&provided.files.real(&path)?).is_none() {
                let missing = provided.missing.at(&path);
                return Err(missing.unwrap_or_else(|| not_there(&String::from_utf8_lossy(&path), &provided.title)));
            }
        }
        for start in &starts {
            self.check_missing(copier, provided, start, Some(&only))?;
            copier.copy(start, Some(&only), target)?;
        }
        Ok(())
    }

    /// Refuses to copy what cannot be read, and tells of what no layer can hold.
    fn check_missing(
        &self,
        copier: &Copier<'_>,
        provided: &Provided,
        source: &Matched<'_>,
        only: Option<&Ignore>,
    ) -> Result<()> {
        let Provided { missing, .. } = provided;
        let is_wanted = |path: &[u8]| only.is_none_or(|only| only.matches(path)) && !copier.exclude.matches(path);
        for (_, left_out) in missing.below(&source.path).filter(|(path, _)| path.is_empty() || is_wanted(path)) {
            let error = missing.error(left_out);
            match left_out.reason {
                Reason::Unreadable => return Err(error),
                Reason::Socket => {
                    let message = format!("{}, and is left out", error.message);
                    (self.options.progress)(Event::Warning { message: &message });
                }
            }
        }
        Ok(())
    }

    /// Unpacks `source` to the destination, if it is an archive; whether it is.
    fn unpack(&mut self, copier: &Copier<'_>, source: &Matched<'_>, target: &mut Target) -> Result<bool> {
        let Object::Other(Kind::File(content)) = source.node.object() else { return Ok(false) };
        self.bases.bring(std::iter::once(content))?;
        let name = String::from_utf8_lossy(&source.name);
        let Some(entries) = archive::entries(content, &name, self.options.store)? else { return Ok(false) };
        let destination = target.files().real(copier.to.as_bytes())?;
        target.make_directory(&destination)?;
        for entry in entries {
            let directory = joined(&destination, parent(&entry.path).unwrap_or_default());
            let directory = target.files().real(&directory)?;
            target.make_directory(&directory)?;
            let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let path = joined(&directory, name);
            let mut attributes = entry.attributes;
            (attributes.user, attributes.group) = copier.owner.unwrap_or((attributes.user, attributes.group));
            attributes.modified = copier.time.map_or(attributes.modified, Time::of_seconds);
            match entry.kind {
                Kind::Directory if target.files().get(&path).is_some_and(Node::is_directory) => {
                    *target.change(path)? = attributes;
                }
                Kind::Directory => target.put(path, Node::directory(attributes))?,
                Kind::HardLink { target: first } => {
                    let first = target.files().real(&joined(&destination, &first))?;
                    if let Some(node) = target.files().get(&first).cloned() {
                        target.put(path, node)?;
                    }
                }
                kind => target.put(path, Node::new(Object::Other(kind), attributes))?,
            }
        }
        Ok(true)
    }
}

/// Whether `copy` does not look at what is below it. So BuildKit has it: `--chmod` takes `--link` away.
fn stands_alone(copy: &Copy) -> bool {
    copy.link && copy.mode.is_none()
}

impl Provided {
    fn matched(&self, pattern: &str) -> Result<Vec<Matched<'_>>> {
        matched(&self.files, pattern, &self.title).map_err(|error| match error.kind {
            ErrorKind::NotFound => self.missing.at(from_root(pattern).as_bytes()).unwrap_or(error),
            _ => error,
        })
    }
}

/// A file of root's.
fn file(content: Content, mode: u32, seconds: i64) -> Node {
    let modified = Time { seconds, nanoseconds: 0 };
    Node::new(Object::Other(Kind::File(content)), Attributes { mode, modified, ..Attributes::implied() })
}

/// What comes from elsewhere, by its name.
fn named<'n>(name: &str, node: &'n Node) -> Matched<'n> {
    Matched { name: name.as_bytes().to_vec(), path: name.as_bytes().to_vec(), node }
}
