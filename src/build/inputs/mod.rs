//! Whatever steps take from outside of their stages: contexts, images, downloads, repositories, the files of a spec.

mod archives;
mod bases;
mod contexts;
mod copies;
mod elsewhere;
mod members;
mod roots;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::cache::{By, Key, Sum, content_of, known_difference};
use super::options::Options;
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Add, Plan, Stage};
use crate::run::{Rung, Sandbox};
use crate::source::local::{self, Added};
use crate::source::modified::Modified;
use crate::sync::{Memo, Once, locked};
use crate::tree::{Budget, Limits, Whole, path};

pub use bases::Bases;
pub use contexts::{Contexts, Missing, Walked};
pub use copies::Copies;
use elsewhere::Elsewhere;
pub use roots::{DiskRoot, Roots};

/// So often it is looked whether commands that were stopped have ended.
const STOP_TRIES: usize = 500;
const STOP_WAIT: Duration = Duration::from_millis(10);

/// A command that counts as running.
pub struct RunningCommand<'a>(&'a AtomicUsize);

impl Drop for RunningCommand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All that the steps of a plan are given, from any thread.
pub struct Inputs<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options<'a>,
    pub pool: &'a ThreadPool,
    /// No file was looked at earlier.
    pub started: SystemTime,
    pub contexts: Contexts<'a>,
    pub bases: Bases<'a>,
    pub elsewhere: Elsewhere<'a>,
    pub roots: Roots<'a>,
    /// The file systems of commands where they are not overlays.
    pub copies: Copies,
    /// Ended when the build has failed.
    pub stop: Stop,
    /// For what all steps change.
    pub budget: Arc<Budget>,
    adds: Memo<Vec<Add>, Arc<Added>>,
    sandbox: Once<Sandbox>,
    commands: AtomicUsize,
    /// How many commands run.
    running: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

impl<'a> Inputs<'a> {
    /// Returns the inputs of a build. Work that is under way when `stop` is ended fails.
    pub fn new(plan: &'a Plan, options: &'a Options<'a>, pool: &'a ThreadPool, stop: &Stop) -> Self {
        let started = SystemTime::now();
        Inputs {
            plan,
            options,
            pool,
            started,
            contexts: Contexts::new(&plan.contexts, options.contexts, started, pool),
            bases: Bases::new(options, pool, stop.clone()),
            elsewhere: Elsewhere::new(options, pool, stop.clone()),
            roots: Roots::new(options),
            copies: Copies::default(),
            budget: Arc::new(Budget::new(Limits::of_build(), Whole::Build)),
            adds: Memo::default(),
            stop: stop.clone(),
            sandbox: Once::default(),
            commands: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            failure: Mutex::default(),
        }
    }

    /// Returns what commands are run in. If that is not known, it is found out when the first one is to be run.
    pub fn sandbox(&self) -> Result<&Sandbox> {
        if let Some(sandbox) = self.options.sandbox {
            return Ok(sandbox);
        }
        self.sandbox.get_or_find(|| {
            let place = self.options.store.directory()?;
            // All commands of a plan are kept apart in one way.
            let isolation = self.plan.stages.first().map(|stage| stage.run.isolation).unwrap_or_default();
            Sandbox::find_on(place.path(), Rung::named(isolation))
        })
    }

    /// Returns the number of the next command, the first being 1.
    pub fn next_command(&self) -> usize {
        self.commands.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a command as running, until what is returned is dropped.
    pub fn command_runs(&self) -> RunningCommand<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningCommand(&self.running)
    }

    /// Makes `error` the failure of the build, whatever fails later, and stops all that is under way. Waits a while for the
    /// commands to end. Gives `error` back where something else has failed before.
    pub fn fail(&self, error: Error) -> Result<(), Error> {
        {
            let mut failure = locked(&self.failure);
            if failure.is_some() || self.stop.is_ended() {
                return Err(error);
            }
            *failure = Some(error);
            self.stop.end();
        }
        for _ in 0..STOP_TRIES {
            if self.running.load(Ordering::Relaxed) == 0 {
                break;
            }
            thread::sleep(STOP_WAIT);
        }
        Ok(())
    }

    /// Takes what [`fail`](Self::fail) was told.
    pub fn failure(&self) -> Option<Error> {
        locked(&self.failure).take()
    }

    pub fn stage(&self, number: usize) -> Result<&'a Stage> {
        self.plan.stages.get(number).ok_or_else(|| Error::input(format!("the plan has no stage {number}")))
    }

    /// Returns what `adds` put together; equal ones do it once.
    pub fn added(&self, adds: &[Add]) -> Result<Arc<Added>> {
        self.adds.get(adds.to_vec(), || {
            let added = self.pool.install(|| {
                let added = local::added(adds, self.options.contexts, self.options.modified)?;
                let refused = added.entries.par_iter().find_map_first(|entry| path::check(&entry.path).err());
                refused.map_or(Ok(added), Err)
            })?;
            added.entries.iter().try_for_each(|entry| self.budget.entry(entry.path.len() as u64))?;
            Ok(Arc::new(added))
        })
    }

    /// Returns the sum of all that is at `path` of `context`, which has no links: by its looks, or by its content.
    pub fn sum(&self, context: &Walked, path: Vec<u8>, by: By) -> Result<Sum> {
        let look = context.sum(path.clone())?;
        if by == By::Look {
            return Ok(look);
        }
        let Options { store, modified, trust_times, .. } = *self.options;
        let times_count = modified == Modified::Preserve;
        let digest = context.content(path.clone(), || {
            let find = || content_of(&context.files, &path, times_count, &self.bases);
            if !(look.is_settled && trust_times) {
                return find();
            }
            let to = KeyBuilder::new("look 1").part("sum", &look.digest).part("times count", &times_count);
            known_difference(store, &Digest::of(b""), Key::of_parts(to), find)
        })?;
        Ok(Sum { digest, ..look })
    }

    /// Returns what all adds have put together.
    pub fn into_added(self) -> impl Send + 'static {
        self.adds
    }
}
