//! The steps of stages: what each is known by, and what it changes in the file system of its stage.
//!
//! A file system is put together only where a step needs to look into it. A step that is known from an earlier build needs
//! none; one that is not stands on what the steps below it say they change, whether that is written or not.

mod run;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::bases::Bases;
use super::cache::{Key, Sum, are_settled};
use super::contexts::Contexts;
use super::copy::{Pivot, has_wildcard, literal_start};
use super::files::Files;
use crate::error::{Error, Result};
use crate::layer::{Content, Entry};
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Add, Base, Copy, Item, Plan, Provider, Stage, Step, Work};
use crate::source::local::{self, Modified};

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
    marks: HashMap<(usize, usize), Mark>,
    files: HashMap<(usize, usize), Files>,
    changes: HashMap<(usize, usize), Arc<Vec<Entry>>>,
    adds: HashMap<&'a [Add], Weak<Vec<Entry>>>,
}

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
        }
    }

    /// The stages that `stage` stands on and itself, the lowest first.
    pub fn chain(&self, stage: usize) -> Result<Vec<usize>> {
        let mut chain = vec![stage];
        while let Base::Stage(base) = self.stage(chain[chain.len() - 1])?.base {
            if chain.contains(&base) {
                return Err(Error::input(format!("stage {base} of the plan stands on itself")));
            }
            chain.push(base);
        }
        chain.reverse();
        Ok(chain)
    }

    pub fn stage(&self, number: usize) -> Result<&'a Stage> {
        self.plan.stages.get(number).ok_or_else(|| Error::input(format!("the plan has no stage {number}")))
    }

    /// What stage number `stage` after `steps` of its steps is known by.
    pub fn mark(&mut self, stage: usize, steps: usize) -> Result<Mark> {
        if let Some(mark) = self.marks.get(&(stage, steps)) {
            return Ok(*mark);
        }
        let mark = match steps.checked_sub(1) {
            None => match &self.stage(stage)?.base {
                Base::Scratch => Mark { key: None, is_settled: true },
                Base::Image(image) => {
                    let parts = Key::step("image", None, self.options.compression).part("manifest", &image.manifest);
                    Mark { key: Some(Key::of_parts(parts)), is_settled: true }
                }
                Base::Stage(base) => self.last_mark(*base)?,
            },
            Some(number) => {
                let below = self.mark(stage, number)?;
                let step = self.step(stage, number)?;
                self.step_mark(&step.work, below).map_err(|error| at(error, step))?
            }
        };
        self.marks.insert((stage, steps), mark);
        Ok(mark)
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

    /// What `adds` put together; equal ones do it once, as long as somebody has it.
    pub fn added(&mut self, adds: &'a [Add]) -> Result<Arc<Vec<Entry>>> {
        if let Some(entries) = self.adds.get(adds).and_then(Weak::upgrade) {
            return Ok(entries);
        }
        let entries = Arc::new(self.pool.install(|| local::entries(adds, self.options.modified))?);
        self.adds.insert(adds, Arc::downgrade(&entries));
        Ok(entries)
    }

    /// Sees to it that those of `contents` that lie in images can be read.
    pub fn bring<'c>(&mut self, contents: impl Iterator<Item = &'c Content>) -> Result<()> {
        self.bases.bring(contents)
    }

    /// When the first file was looked at, at the earliest.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    fn step(&self, stage: usize, number: usize) -> Result<&'a Step> {
        let step = self.stage(stage)?.steps.get(number);
        step.ok_or_else(|| Error::input(format!("stage {stage} of the plan has no step {number}")))
    }

    fn last_mark(&mut self, stage: usize) -> Result<Mark> {
        let steps = self.stage(stage)?.steps.len();
        self.mark(stage, steps)
    }

    fn step_mark(&mut self, work: &'a Work, below: Mark) -> Result<Mark> {
        let compression = self.options.compression;
        let begin = |kind| Key::step(kind, below.key.as_ref(), compression);
        let (parts, is_settled) = match work {
            Work::Nothing => return Ok(below),
            Work::Adds(adds) => {
                let entries = self.added(adds)?;
                let sum = self.pool.install(|| Key::of(&entries, true, compression)).digest();
                (begin("adds").part("entries", &sum), are_settled(&entries, self.started))
            }
            Work::Directory { path, owner } => {
                (begin("directory").part("path", path).part("owner", owner).part("time", &self.time()), true)
            }
            Work::Copy(copy) => {
                let sums = self.sums(copy)?;
                let digests: Vec<Digest> = sums.iter().map(|sum| sum.digest).collect();
                let parts = copy_parts(begin("copy"), copy).part("sources", &digests);
                let parts = parts.part("time", &self.time()).part("modified", &self.options.modified);
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
        if let Some(files) = self.files.get(&(stage, steps)) {
            return Ok(files.clone());
        }
        let files = match steps.checked_sub(1) {
            None => match &self.stage(stage)?.base {
                Base::Scratch => Files::new(),
                Base::Image(image) => self.bases.files(image)?,
                Base::Stage(base) => self.last_files(*base)?,
            },
            Some(number) => {
                let change = self.change(stage, number)?;
                match self.files.get(&(stage, steps)) {
                    Some(files) => files.clone(),
                    None => {
                        let mut files = self.files(stage, number)?;
                        files.apply(&change);
                        files
                    }
                }
            }
        };
        self.files.insert((stage, steps), files.clone());
        Ok(files)
    }

    fn last_files(&mut self, stage: usize) -> Result<Files> {
        let steps = self.stage(stage)?.steps.len();
        self.files(stage, steps)
    }

    /// That of what is made here and comes from nowhere.
    fn time(&self) -> i64 {
        match self.options.modified {
            Modified::At(time) => time,
            Modified::Preserve => self.options.created,
        }
    }
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
    use crate::plan::{Destination, GitUrl, Mode};

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
