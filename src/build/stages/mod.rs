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
use crate::oci::Digest;
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
        let is_windows = self.stage(stage)?.platform.is_windows();
        let mark = match steps.checked_sub(1) {
            None => match &self.stage(stage)?.base {
                Base::Scratch if is_windows => self.base_mark("windows", &[]),
                Base::Scratch => Mark { key: None, is_settled: true },
                Base::Image(image) if is_windows => self.base_mark("image for windows", &[image.manifest]),
                Base::Image(image) => self.base_mark("image", &[image.manifest]),
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

    fn base_mark(&self, work: &str, sources: &[Digest]) -> Mark {
        Mark { key: Some(Key::of_step(None, work, sources, self.options.compression)), is_settled: true }
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
        match work {
            Work::Nothing => Ok(below),
            Work::Adds(adds) => {
                let entries = self.added(adds)?;
                let sum = self.pool.install(|| Key::of(&entries, true, compression)).digest();
                let key = Key::of_step(below.key.as_ref(), "adds", &[sum], compression);
                let is_settled = below.is_settled && are_settled(&entries, self.started);
                Ok(Mark { key: Some(key), is_settled })
            }
            Work::Directory { path, owner } => {
                let work = format!("directory {:?}", (path, owner, self.time()));
                let key = Key::of_step(below.key.as_ref(), &work, &[], compression);
                Ok(Mark { key: Some(key), is_settled: below.is_settled })
            }
            Work::Copy(copy) => {
                let Copy { from: _, items, to, owner, mode, exclude, parents, link, unpack, is_add } = copy;
                let work = (items, to, owner, mode, exclude, parents, link, unpack, is_add);
                let work = format!("copy {:?}", (work, self.time(), self.options.modified));
                let sums = self.sums(copy)?;
                let digests: Vec<Digest> = sums.iter().map(|sum| sum.digest).collect();
                let key = Key::of_step(below.key.as_ref(), &work, &digests, compression);
                let is_settled = below.is_settled && sums.iter().all(|sum| sum.is_settled);
                Ok(Mark { key: Some(key), is_settled })
            }
        }
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
    pub fn time(&self) -> i64 {
        match self.options.modified {
            Modified::At(time) => time,
            Modified::Preserve => self.options.created,
        }
    }
}

/// The error with the line that asked for `step`, unless it has one.
fn at(mut error: Error, step: &Step) -> Error {
    error.excerpt = error.excerpt.or_else(|| step.place.clone().map(Box::new));
    error
}
