//! The steps of stages: what each is known by, and what it changes in the file system of its stage.
//!
//! A file system is put together only where a step needs to look into it. A step that is known from an earlier build needs
//! none; one that is not stands on what the steps below it say they change, whether that is written or not.

mod run;
mod sources;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::bases::Bases;
use super::cache::{Key, Sum, are_settled};
use super::contexts::Contexts;
use crate::error::{Error, Result};
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Add, Base, Copy, Item, Plan, Provider, Stage, Step, Work};
use crate::source::local::{self, Added};
use crate::tree::{Budget, Content, Entry, Files, Limits, Pivot, Whole, has_wildcard, literal_start, path};

use sources::Sources;

/// The stages of a plan.
pub struct Stages<'a> {
    plan: &'a Plan,
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    /// No file was looked at earlier.
    started: SystemTime,
    contexts: Contexts<'a>,
    bases: Bases<'a>,
    sources: Sources<'a>,
    /// What the state of a stage after so many of its steps is known by; the one before all steps is that of its base.
    marks: HashMap<Place, Mark>,
    files: HashMap<Place, Files>,
    changes: HashMap<Place, Arc<Vec<Entry>>>,
    adds: HashMap<&'a [Add], Added>,
    /// How many stages stand on each stage, and how many steps copy from it.
    takers: HashMap<usize, usize>,
    /// For what all steps change.
    budget: Arc<Budget>,
}

/// A state of a stage: the stage, and how many of its steps are done; or a step: its stage, and its number there.
type Place = (usize, usize);

/// What the state of a stage is known by.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// None for an empty file system.
    pub key: Option<Key>,
    /// A later change of any file that it comes from is sure to show.
    pub is_settled: bool,
}

impl<'a> Stages<'a> {
    pub fn new(plan: &'a Plan, options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        let started = SystemTime::now();
        Stages {
            plan,
            options,
            pool,
            started,
            contexts: Contexts::new(&plan.contexts, started, pool),
            bases: Bases::new(options, pool),
            sources: Sources::new(options, pool),
            marks: HashMap::new(),
            files: HashMap::new(),
            changes: HashMap::new(),
            adds: HashMap::new(),
            takers: takers(plan),
            budget: Arc::new(Budget::new(Limits::of_build(), Whole::Build)),
        }
    }

    /// The stages that `stage` stands on and itself, the lowest first.
    pub fn chain(&self, stage: usize) -> Result<Vec<usize>> {
        let mut chain = vec![stage];
        let mut at = stage;
        while let Base::Stage(base) = self.stage(at)?.base {
            at = before(base, at)?;
            chain.push(at);
        }
        chain.reverse();
        Ok(chain)
    }

    pub fn stage(&self, number: usize) -> Result<&'a Stage> {
        self.plan.stages.get(number).ok_or_else(|| Error::input(format!("the plan has no stage {number}")))
    }

    /// What stage number `stage` after `steps` of its steps is known by.
    pub fn mark(&mut self, stage: usize, steps: usize) -> Result<Mark> {
        // However many steps and stages stand on each other, each finds what it stands on.
        let mut left = vec![(stage, steps)];
        while let Some(&place) = left.last() {
            let is_marked = |place: &Place| self.marks.contains_key(place);
            if is_marked(&place) {
                left.pop();
                continue;
            }
            let below = self.below(place)?;
            let unmarked = below.into_iter().flatten().find(|below| !is_marked(below));
            match unmarked {
                Some(below) => left.push(below),
                None => {
                    let mark = self.mark_above(place)?;
                    self.marks.insert(place, mark);
                }
            }
        }
        self.marked((stage, steps))
    }

    /// What step number `number` of stage number `stage` changes: the entries of its layer; none if it changes nothing.
    pub fn change(&mut self, stage: usize, number: usize) -> Result<Arc<Vec<Entry>>> {
        if let Some(change) = self.changes.get(&(stage, number)) {
            return Ok(change.clone());
        }
        let step = self.step(stage, number)?;
        let (entries, files) = self.run((stage, number), &step.work).map_err(|error| at(error, step))?;
        if let Some(files) = files {
            self.files.insert((stage, number + 1), files);
        }
        self.changes.insert((stage, number), entries.clone());
        Ok(entries)
    }

    /// Returns what `adds` put together; equal ones do it once.
    fn added(&mut self, adds: &'a [Add]) -> Result<&Added> {
        if !self.adds.contains_key(adds) {
            let added = self.pool.install(|| local::added(adds, self.options.modified))?;
            for entry in added.entries.iter() {
                path::check(&entry.path)?;
                self.budget.entry(entry.path.len() as u64)?;
            }
            self.adds.insert(adds, added);
        }
        Ok(&self.adds[adds])
    }

    /// Sees to it that those of `contents` that lie in images can be read.
    pub fn bring<'c>(&mut self, contents: impl Iterator<Item = &'c Content>) -> Result<()> {
        self.bases.bring(contents)
    }

    /// When the first file was looked at, at the earliest.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    fn base_mark(&self, kind: &str, manifest: Option<Digest>) -> Mark {
        let parts = Key::step(kind, None, self.options.compression).part("manifest", &manifest);
        Mark { key: Some(Key::of_parts(parts)), is_settled: true }
    }

    fn step(&self, stage: usize, number: usize) -> Result<&'a Step> {
        let step = self.stage(stage)?.steps.get(number);
        step.ok_or_else(|| Error::input(format!("stage {stage} of the plan has no step {number}")))
    }

    fn last_mark(&self, stage: usize) -> Result<Mark> {
        self.marked(self.last(stage)?)
    }

    fn marked(&self, place: Place) -> Result<Mark> {
        let mark = self.marks.get(&place).copied();
        mark.ok_or_else(|| Error::input(format!("stage {} of the plan is not known by anything", place.0)))
    }

    /// What the state at `place` is known by, where those that it comes from are marked.
    fn mark_above(&mut self, (stage, steps): Place) -> Result<Mark> {
        let Some(number) = steps.checked_sub(1) else {
            let Stage { base, platform, .. } = self.stage(stage)?;
            return Ok(match base {
                Base::Scratch if platform.is_windows() => self.base_mark("windows", None),
                Base::Scratch => Mark { key: None, is_settled: true },
                Base::Image(image) if platform.is_windows() => {
                    self.base_mark("image for windows", Some(image.manifest))
                }
                Base::Image(image) => self.base_mark("image", Some(image.manifest)),
                Base::Stage(base) => self.last_mark(*base)?,
            });
        };
        let below = self.marked((stage, number))?;
        let step = self.step(stage, number)?;
        self.step_mark(&step.work, below).map_err(|error| at(error, step))
    }

    fn step_mark(&mut self, work: &'a Work, below: Mark) -> Result<Mark> {
        let compression = self.options.compression;
        let begin = |kind| Key::step(kind, below.key.as_ref(), compression);
        let (parts, is_settled) = match work {
            Work::Nothing => return Ok(below),
            Work::Adds(adds) => {
                let Added { entries, roles } = self.added(adds)?.clone();
                let sum = self.pool.install(|| Key::of(&entries, true, compression)).digest();
                // The same entries change something else in what is below them if they are there for something else.
                (begin("adds").part("entries", &sum).part("roles", &roles), are_settled(&entries, self.started))
            }
            Work::Directory { path, owner } => (
                begin("directory")
                    .part("path", path)
                    .part("owner", owner)
                    .part("time", &self.options.modified.of_made()),
                true,
            ),
            Work::Copy(copy) => {
                let sums = self.sums(copy)?;
                let digests: Vec<Digest> = sums.iter().map(|sum| sum.digest).collect();
                let parts = copy_parts(begin("copy"), copy).part("sources", &digests);
                let parts =
                    parts.part("time", &self.options.modified.of_made()).part("modified", &self.options.modified);
                (parts, sums.iter().all(|sum| sum.is_settled))
            }
        };
        Ok(Mark { key: Some(Key::of_parts(parts)), is_settled: below.is_settled && is_settled })
    }

    /// What all that a copy takes from looks like.
    fn sums(&mut self, copy: &Copy) -> Result<Vec<Sum>> {
        let certain = |digest| Sum { digest, is_settled: true, has_links: false };
        let mut sums = match &copy.from {
            Provider::Context(number) => {
                let mut sums = Vec::new();
                for item in &copy.items {
                    if let Item::Pattern(pattern) = item {
                        sums.extend(self.context_sums(*number, pattern, copy.parents)?);
                    }
                }
                sums
            }
            Provider::Image(image) => vec![certain(image.manifest)],
            Provider::Stage(stage) => {
                let Mark { key, is_settled } = self.last_mark(*stage)?;
                let digest = key.map_or_else(|| Sum::nothing().digest, |key| key.digest());
                vec![Sum { digest, is_settled, has_links: false }]
            }
        };
        for item in &copy.items {
            sums.extend(self.sources.identity(item)?.map(certain));
        }
        Ok(sums)
    }

    /// Those of what `pattern` may stand for in a context: of all that begins as it does before its first wildcard.
    fn context_sums(&mut self, context: usize, pattern: &str, parents: bool) -> Result<[Sum; 2]> {
        let context = self.contexts.get(context)?;
        let start = if parents { Pivot::of(pattern).start } else { pattern.to_owned() };
        let real = context.files.real(literal_start(&start).as_bytes()).unwrap_or_default();
        let place = Sum { digest: Digest::of(&real), ..Sum::nothing() };
        let sum = context.sum(real);
        // Links that are found by wildcards are followed to wherever they lead.
        if sum.has_links && has_wildcard(&start) {
            return Ok([place, context.sum(Vec::new())]);
        }
        Ok([place, sum])
    }

    /// The file system of stage number `stage` after `steps` of its steps.
    fn files(&mut self, stage: usize, steps: usize) -> Result<Files> {
        let mut left = vec![(stage, steps)];
        while let Some(&place) = left.last() {
            if self.files.contains_key(&place) {
                left.pop();
                continue;
            }
            let is_known = place.1.checked_sub(1).is_some_and(|number| self.changes.contains_key(&(place.0, number)));
            let [below, from] = self.below(place)?;
            // What is known to change need not be copied again.
            let needed = [below, from.filter(|_| !is_known)];
            match needed.into_iter().flatten().find(|needed| !self.files.contains_key(needed)) {
                Some(needed) => left.push(needed),
                None => {
                    let files = self.files_above(place)?;
                    self.files.insert(place, files);
                }
            }
        }
        let files = self.files.get(&(stage, steps)).cloned();
        files.ok_or_else(|| Error::input(format!("stage {stage} of the plan has no file system")))
    }

    /// The same, where those that it comes from are there.
    fn files_above(&mut self, (stage, steps): Place) -> Result<Files> {
        let Some(number) = steps.checked_sub(1) else {
            return match &self.stage(stage)?.base {
                Base::Scratch => Ok(Files::new()),
                Base::Image(image) => self.bases.files(image),
                Base::Stage(base) => match self.takers.get(base) {
                    Some(1) => self.taken(self.last(*base)?),
                    _ => self.last_files(*base),
                },
            };
        };
        let change = self.change(stage, number)?;
        if let Some(files) = self.files.remove(&(stage, steps)) {
            return Ok(files);
        }
        let mut files = self.taken((stage, number))?;
        files.put_all(&change);
        Ok(files)
    }

    /// The file system at `place` for the only one who asks for it: what is shared would have to be copied to be changed, and
    /// each state would take as much memory as all that it has.
    fn taken(&mut self, place: Place) -> Result<Files> {
        let files = self.files(place.0, place.1)?;
        self.files.remove(&place);
        Ok(files)
    }

    fn last_files(&mut self, stage: usize) -> Result<Files> {
        let last = self.last(stage)?;
        self.files(last.0, last.1)
    }

    /// The states that the one at `place` comes from: that below it, and that which its last step copies from.
    fn below(&self, (stage, steps): Place) -> Result<[Option<Place>; 2]> {
        let Some(number) = steps.checked_sub(1) else {
            return match self.stage(stage)?.base {
                Base::Stage(base) => Ok([Some(self.last(before(base, stage)?)?), None]),
                Base::Scratch | Base::Image(_) => Ok([None, None]),
            };
        };
        let from = match &self.step(stage, number)?.work {
            Work::Copy(Copy { from: Provider::Stage(from), .. }) => Some(self.last(before(*from, stage)?)?),
            _ => None,
        };
        Ok([Some((stage, number)), from])
    }

    /// What `stage` is after all of its steps.
    fn last(&self, stage: usize) -> Result<Place> {
        Ok((stage, self.stage(stage)?.steps.len()))
    }
}

fn takers(plan: &Plan) -> HashMap<usize, usize> {
    let mut takers = HashMap::new();
    for stage in &plan.stages {
        let copied = stage.steps.iter().filter_map(|step| match step.work {
            Work::Copy(Copy { from: Provider::Stage(from), .. }) => Some(from),
            _ => None,
        });
        let base = match stage.base {
            Base::Stage(base) => Some(base),
            Base::Scratch | Base::Image(_) => None,
        };
        copied.chain(base).for_each(|taken| *takers.entry(taken).or_default() += 1);
    }
    takers
}

/// `stage`, if a stage called `number` may take from it: a plan has each behind those that it takes from.
fn before(stage: usize, number: usize) -> Result<usize> {
    if stage < number {
        return Ok(stage);
    }
    Err(Error::input(format!("stage {number} of the plan takes from stage {stage}, which does not stand before it")))
}

/// All that `copy` is told; what it takes from is known by what that looks like.
fn copy_parts(parts: KeyBuilder, copy: &Copy) -> KeyBuilder {
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

/// The error with the line that asked for `step`, unless it has one.
fn at(mut error: Error, step: &Step) -> Error {
    error.excerpt = error.excerpt.or_else(|| step.place.clone().map(Box::new));
    error
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::plan::{Destination, GitUrl};
    use crate::tree::Mode;

    fn key(copy: &Copy) -> Digest {
        copy_parts(KeyBuilder::new("copy"), copy).finish()
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

    fn item() -> impl Strategy<Value = Item> {
        let text = || select(vec!["a", "b", "a,b", "", "a\0"]).prop_map(str::to_owned);
        let checksum = || prop::option::of(select(vec!["ab", "abc"]).prop_map(str::to_owned));
        prop_oneof![
            text().prop_map(Item::Pattern),
            (text(), text()).prop_map(|(name, content)| Item::Text { name, content: content.into() }),
            (select(vec!["http://h/a?x", "http://h/a?y"]), prop::option::of(select(vec!["1", "2"]))).prop_map(
                |(url, content)| {
                    let checksum = content.map(|content| Digest::of(content.as_bytes()));
                    Item::Url { url: url.to_owned(), checksum }
                }
            ),
            (git_url(), any::<bool>(), checksum()).prop_map(|(url, keep_git_dir, checksum)| Item::Git {
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
            .prop_map(|(path, into)| Destination { path: path.to_owned(), into });
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
            Item::Git { url, keep_git_dir: false, checksum: None }
        };
        let http = |url: &str| Item::Url { url: url.to_owned(), checksum: None };
        let key = |item: Item| KeyBuilder::new("item").part("item", &item).finish();
        assert_eq!(key(git("https://me:secret@h/a.git")), key(git("https://h/a.git")));
        assert_eq!(key(http("https://me:secret@h/a")), key(http("https://h/a")));
        assert_ne!(key(http("https://h/a?b")), key(http("https://h/a?c")));
    }
}
