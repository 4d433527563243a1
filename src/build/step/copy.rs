//! `COPY` and `ADD`.

use std::sync::Arc;

use super::provided::Provided;
use super::{Below, Doing, Given, Leaves, MarkGiven, Settled, StepChange, Takes, owner};
use crate::build::cache::{By, Mark, Sum};
use crate::build::inputs::Inputs;
use crate::error::Result;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Copy, CopyItem, Provider};
use crate::progress::{Event, WarningKind};
use crate::source::modified::Modified;
use crate::tree::owner::is_known;
use crate::tree::path::split;
use crate::tree::{
    Attributes, Content, Copier, Edit, Files, Ignore, Kind, Matched, Node, Object, Pivot, Reason, Time, has_wildcard,
    joined, literal_start, matched,
};

impl Doing for Copy {
    fn takes(&self) -> Takes {
        let below = match stands_alone(self) {
            false => Below::Changed,
            true if self.owner.as_deref().is_none_or(is_known) => Below::Unseen,
            true => Below::Seen,
        };
        let stages = match self.from {
            Provider::Stage(stage) => vec![stage],
            Provider::Context(_) | Provider::Image(_) => Vec::new(),
        };
        Takes { below, stages, on_disk: false }
    }

    fn kind(&self) -> &'static str {
        "copy"
    }

    fn mark(&self, key: KeyBuilder, given: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<(KeyBuilder, Settled)> {
        let sums = sums(self, given, inputs)?;
        let digests: Vec<Digest> = sums.iter().map(|sum| sum.digest).collect();
        let modified = inputs.options.modified;
        let key = told(key, self).part("sources", &digests);
        let key = key.part("time", &modified.of_made()).part("modified", &modified);
        Ok((key, sums.iter().all(|sum| sum.is_settled)))
    }

    fn change(&self, given: Given<'_>, inputs: &Inputs<'_>) -> Result<StepChange> {
        let owner = owner(self.owner.as_deref(), &given, inputs)?;
        let is_alone = stands_alone(self);
        let below = if is_alone { Files::new() } else { given.below };
        let mut edit = Edit::new(below, owner, inputs.options.modified.of_made(), inputs.budget.clone());
        Copying { from: given.from.into_iter().next(), inputs }.copy(self, owner, &mut edit)?;
        let (files, entries) = edit.finish()?;
        let leaves = if is_alone { Leaves::OverBelow } else { Leaves::Files(files) };
        Ok(StepChange { entries: Arc::new(entries), leaves, ..StepChange::nothing() })
    }
}

/// A copy that is being done.
struct Copying<'a> {
    /// The files of the stage that it takes from.
    from: Option<Files>,
    inputs: &'a Inputs<'a>,
}

/// Returns a sum for each thing that `copy` takes from.
fn sums(copy: &Copy, given: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<Vec<Sum>> {
    let certain = |digest| Sum { digest, is_settled: true, has_links: false };
    let mut sums = match &copy.from {
        Provider::Context(number) => {
            let mut sums = Vec::new();
            for item in &copy.items {
                if let CopyItem::Pattern(pattern) = item {
                    sums.extend(context_sums(*number, pattern, copy.parents, given.by, inputs)?);
                }
            }
            sums
        }
        Provider::Image(image) => vec![certain(image.manifest)],
        Provider::Stage(_) => {
            let Mark { key, is_settled, .. } = given.from.first().copied().unwrap_or_default();
            let digest = key.map_or_else(|| Sum::nothing().digest, |key| key.digest());
            vec![Sum { digest, is_settled, has_links: false }]
        }
    };
    for item in &copy.items {
        sums.extend(inputs.elsewhere.identity(item)?.map(certain));
    }
    Ok(sums)
}

/// Returns the sums of what `pattern` may stand for in a context: of all that begins as it does before its first
/// wildcard.
fn context_sums(context: usize, pattern: &str, parents: bool, by: By, inputs: &Inputs<'_>) -> Result<[Sum; 2]> {
    let context = inputs.contexts.get(context)?;
    let start = if parents { Pivot::of(pattern).start } else { pattern.to_owned() };
    let real = context.files.real(literal_start(&start).as_bytes()).unwrap_or_default();
    let place = Sum { digest: Digest::of(&real), ..Sum::nothing() };
    let sum = inputs.sum(&context, real, by)?;
    // Links that are found by wildcards are followed to wherever they lead.
    if sum.has_links && has_wildcard(&start) {
        return Ok([place, inputs.sum(&context, Vec::new(), by)?]);
    }
    Ok([place, sum])
}

/// All that `copy` is told; what it takes from is known by what that looks like.
fn told(parts: KeyBuilder, copy: &Copy) -> KeyBuilder {
    let Copy { from: _, items, to, owner, mode, exclude, parents, link, unpack, is_add } = copy;
    parts
        .part("items", items)
        .part("to", to)
        .part("owner", owner)
        .part("mode", mode)
        .part("exclude", exclude)
        .part("parents", parents)
        .part("link", link)
        .part("unpack", unpack)
        .part("add", is_add)
}

impl Copying<'_> {
    fn copy(&self, copy: &Copy, owner: Option<(u32, u32)>, edit: &mut Edit) -> Result<()> {
        let time = match self.inputs.options.modified {
            Modified::At(time) => Some(time),
            Modified::Preserve => None,
        };
        let exclude = Ignore::new(copy.exclude.iter().map(String::as_str))?;
        let copier = Copier { to: &copy.to.path, into: copy.to.into, owner, mode: copy.mode.as_ref(), time, exclude };
        for item in &copy.items {
            match item {
                CopyItem::Pattern(pattern) => {
                    let provided = Provided::of(&copy.from, self.from.as_ref(), self.inputs)?;
                    if copy.parents {
                        self.copy_parents(&copier, &provided, pattern, edit)?;
                    } else {
                        self.copy_pattern(copy, &copier, &provided, pattern, edit)?;
                    }
                }
                CopyItem::Text { name, content } => {
                    let content = Content::Bytes(content.as_bytes().into());
                    let node = file(content, 0o644, self.inputs.options.modified.of_made());
                    copier.copy(&named(name, &node), None, edit)?;
                }
                CopyItem::Url { url, checksum } => {
                    let downloaded = self.inputs.elsewhere.downloaded(url, *checksum)?;
                    let node = file(downloaded.content, 0o600, downloaded.modified);
                    let source = named(&downloaded.name, &node);
                    if !(copy.unpack == Some(true) && self.unpack(&copier, &source, edit)?) {
                        copier.copy(&source, None, edit)?;
                    }
                }
                CopyItem::Git { url, keep_git_dir, checksum } => {
                    let files = self.inputs.elsewhere.repository(url, *keep_git_dir, checksum.as_deref())?;
                    matched(&files, "/", "the repository")?
                        .iter()
                        .try_for_each(|root| copier.copy(root, None, edit))?;
                }
            }
        }
        Ok(())
    }

    fn copy_pattern(
        &self,
        copy: &Copy,
        copier: &Copier<'_>,
        provided: &Provided,
        pattern: &str,
        edit: &mut Edit,
    ) -> Result<()> {
        let found = provided.matched(pattern)?;
        if found.is_empty() {
            let message = format!("nothing in {} matches `{pattern}`, so nothing is copied", provided.title);
            (self.inputs.options.progress)(Event::Warning { kind: WarningKind::NothingMatched, message: &message });
        }
        for source in &found {
            self.check_missing(copier, provided, source, None)?;
            if !(copy.unpack.unwrap_or(copy.is_add) && self.unpack(copier, source, edit)?) {
                copier.copy(source, None, edit)?;
            }
        }
        Ok(())
    }

    fn copy_parents(&self, copier: &Copier<'_>, provided: &Provided, pattern: &str, edit: &mut Edit) -> Result<()> {
        provided.check_parents(pattern)?;
        let Pivot { start, pattern } = Pivot::of(pattern);
        let only = Ignore::new([pattern.as_str()])?;
        let starts = provided.matched(&start)?;
        for start in &starts {
            self.check_missing(copier, provided, start, Some(&only))?;
            copier.copy(start, Some(&only), edit)?;
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
                    let message = format!("{}, so it is left out", error.message);
                    (self.inputs.options.progress)(Event::Warning {
                        kind: WarningKind::SocketLeftOut,
                        message: &message,
                    });
                }
            }
        }
        Ok(())
    }

    /// Unpacks `source` to the destination, if it is an archive; whether it is.
    fn unpack(&self, copier: &Copier<'_>, source: &Matched<'_>, edit: &mut Edit) -> Result<bool> {
        let name = String::from_utf8_lossy(&source.name);
        let Some(entries) = self.inputs.archive(source.node, &name)? else { return Ok(false) };
        let destination = edit.files().real(copier.to.as_bytes())?;
        edit.make_directory(&destination)?;
        for entry in entries {
            let (directory, name) = split(&entry.path);
            let directory = joined(&destination, directory);
            let directory = edit.files().real(&directory)?;
            edit.make_directory(&directory)?;
            let path = joined(&directory, name);
            let mut attributes = entry.attributes;
            (attributes.user, attributes.group) = copier.owner.unwrap_or((attributes.user, attributes.group));
            attributes.modified = copier.time.map_or(attributes.modified, Time::of_seconds);
            match entry.kind {
                Kind::Directory if edit.files().get(&path).is_some_and(Node::is_directory) => {
                    *edit.change(path)? = attributes;
                }
                Kind::Directory => edit.put(path, Node::directory(attributes))?,
                Kind::HardLink { target: first } => {
                    let first = edit.files().real(&joined(&destination, &first))?;
                    if let Some(node) = edit.files().get(&first).cloned() {
                        edit.put(path, node)?;
                    }
                }
                kind => edit.put(path, Node::new(Object::Other(kind), attributes))?,
            }
        }
        Ok(true)
    }
}

/// Returns whether `copy` does not look at what is below it. So BuildKit has it: `--chmod` takes `--link` away.
fn stands_alone(copy: &Copy) -> bool {
    copy.link && copy.mode.is_none()
}

/// A file of root's.
fn file(content: Content, mode: u32, seconds: i64) -> Node {
    let modified = Time { seconds, nanoseconds: 0 };
    Node::new(Object::Other(Kind::File(content)), Attributes { mode, modified, ..Attributes::implied() })
}

/// Returns what comes from elsewhere, by its name.
fn named<'n>(name: &str, node: &'n Node) -> Matched<'n> {
    Matched { name: name.as_bytes().to_vec(), path: name.as_bytes().to_vec(), node }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::plan::{GitUrl, ImagePath};
    use crate::tree::Mode;

    fn key(copy: &Copy) -> Digest {
        told(KeyBuilder::new("copy"), copy).finish()
    }

    fn git_url() -> impl Strategy<Value = GitUrl> {
        let name = || prop::option::of(select(vec!["a", "a:b", "ab"]).prop_map(str::to_owned));
        let truth = || prop::option::of(any::<bool>());
        (select(vec!["https://h/r.git", "git@h:r"]), name(), name(), name(), truth(), truth()).prop_map(
            |(remote, reference, subdirectory, checksum, keep_git_dir, submodules)| {
                let remote = remote.to_owned();
                GitUrl { remote, reference, subdirectory, checksum, keep_git_dir, submodules }
            },
        )
    }

    fn item() -> impl Strategy<Value = CopyItem> {
        let text = || select(vec!["a", "b", "a,b", "", "a\0"]).prop_map(str::to_owned);
        let checksum = || prop::option::of(select(vec!["ab", "abc"]).prop_map(str::to_owned));
        prop_oneof![
            text().prop_map(CopyItem::Pattern),
            (text(), text()).prop_map(|(name, content)| CopyItem::Text { name, content: content.into() }),
            (select(vec!["http://h/a?x", "http://h/a?y"]), prop::option::of(select(vec!["1", "2"]))).prop_map(
                |(url, content)| {
                    let checksum = content.map(|content| Digest::of(content.as_bytes()));
                    CopyItem::Url { url: url.to_owned(), checksum }
                }
            ),
            (git_url(), any::<bool>(), checksum()).prop_map(|(url, keep_git_dir, checksum)| CopyItem::Git {
                url,
                keep_git_dir,
                checksum
            }),
        ]
    }

    fn copies() -> impl Strategy<Value = Copy> {
        let owner = prop::option::of(select(vec!["0", "0:0", "a:b"]).prop_map(str::to_owned));
        let modes = vec!["755", "4755", "u+x", "u-x", "u=x", "u+X", "g=u", "g=o", "u+x,g+x"];
        let mode = prop::option::of(select(modes).prop_map(|text| Mode::parse(text).unwrap()));
        let exclude = prop::collection::vec(select(vec!["a", "b", "a,b", "!a"]).prop_map(str::to_owned), 0..3);
        let to = (select(vec!["a", "a/b", ""]), any::<bool>())
            .prop_map(|(path, into)| ImagePath { path: path.to_owned(), into });
        let flags = (any::<bool>(), any::<bool>(), prop::option::of(any::<bool>()), any::<bool>());
        (prop::collection::vec(item(), 0..3), to, owner, mode, exclude, flags).prop_map(
            |(items, to, owner, mode, exclude, (parents, link, unpack, is_add))| Copy {
                owner,
                mode,
                exclude,
                parents,
                link,
                unpack,
                is_add,
                ..Copy::new(Provider::Context(0), items, to)
            },
        )
    }

    proptest! {
        #[test]
        fn copies_have_one_key_if_they_are_told_the_same(one in copies(), other in copies(), member in 0..9) {
            let mut mixed = one.clone();
            match member {
                0 => mixed.items = other.items,
                1 => mixed.to = other.to,
                2 => mixed.owner = other.owner,
                3 => mixed.mode = other.mode,
                4 => mixed.exclude = other.exclude,
                5 => mixed.parents = other.parents,
                6 => mixed.link = other.link,
                7 => mixed.unpack = other.unpack,
                _ => mixed.is_add = other.is_add,
            }
            prop_assert_eq!(one == mixed, key(&one) == key(&mixed));
        }

        #[test]
        fn repositories_have_one_key_if_the_same_is_asked_of_them(one in git_url(), other in git_url(), member in 0..6) {
            let mut mixed = one.clone();
            match member {
                0 => mixed.remote = other.remote,
                1 => mixed.reference = other.reference,
                2 => mixed.subdirectory = other.subdirectory,
                3 => mixed.checksum = other.checksum,
                4 => mixed.keep_git_dir = other.keep_git_dir,
                _ => mixed.submodules = other.submodules,
            }
            let key = |url: &GitUrl| KeyBuilder::new("url").part("url", url).finish();
            prop_assert_eq!(one == mixed, key(&one) == key(&mixed));
        }
    }

    #[test]
    fn passwords_are_in_no_key() {
        let git = |remote: &str| {
            let url = GitUrl::of_source(remote).unwrap().unwrap();
            CopyItem::Git { url, keep_git_dir: false, checksum: None }
        };
        let http = |url: &str| CopyItem::Url { url: url.to_owned(), checksum: None };
        let key = |item: CopyItem| KeyBuilder::new("item").part("item", &item).finish();
        assert_eq!(key(git("https://me:secret@h/a.git")), key(git("https://h/a.git")));
        assert_eq!(key(http("https://me:secret@h/a")), key(http("https://h/a")));
        assert_ne!(key(http("https://h/a?b")), key(http("https://h/a?c")));
    }
}
