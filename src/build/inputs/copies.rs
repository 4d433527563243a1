//! Root file systems of commands where there is no overlay: copies, handed on from one command to the next.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::Result;
use crate::layer::{Devices, Provided, StandingRoot};
use crate::run::Root;
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;
use crate::sync::locked;

/// No more copies than this wait for another command: each may be as large as its image.
const MOST_SPARE: usize = 4;

/// The copies that no command works on at the time.
#[derive(Default)]
pub struct Copies {
    /// Those that were used last come last.
    spare: Mutex<Vec<RootCopy>>,
}

/// A copy of a root file system. It goes when this is dropped.
pub struct RootCopy {
    place: PendingDirectory,
    standing: StandingRoot,
    /// The directories that it is a copy of, the topmost first.
    lowers: Vec<PathBuf>,
    /// So many of the lowest ones are in it as a whole; of those above it lacks files.
    whole: usize,
}

impl Copies {
    /// Returns a copy of `lowers`. One that has all of them but the topmost is gone on with if it is spare: then only these
    /// are copied.
    pub fn take(&self, lowers: &[PathBuf], devices: Devices, store: &LocalStore) -> Result<RootCopy> {
        let spare = {
            let mut spare = locked(&self.spare);
            let fitting = spare.iter().enumerate().filter(|(_, copy)| lowers.ends_with(&copy.lowers));
            let best = fitting.max_by_key(|(_, copy)| copy.lowers.len()).map(|(number, _)| number);
            best.map(|number| spare.remove(number))
        };
        let mut copy = match spare {
            Some(copy) => copy,
            None => RootCopy::new(devices, store)?,
        };
        let missing = &lowers[..lowers.len() - copy.whole];
        missing.iter().rev().try_for_each(|lower| copy.standing.lay(lower))?;
        (copy.lowers, copy.whole) = (lowers.to_vec(), lowers.len());
        copy.standing.mark()?;
        Ok(copy)
    }

    /// Keeps `copy` for the next command.
    pub fn give(&self, copy: RootCopy) {
        let mut spare = locked(&self.spare);
        spare.push(copy);
        let oldest = (spare.len() > MOST_SPARE).then(|| spare.remove(0));
        drop(spare);
        drop(oldest);
    }
}

impl RootCopy {
    fn new(devices: Devices, store: &LocalStore) -> Result<Self> {
        let place = store.directory()?;
        for name in ["root", "work"] {
            place.create(name)?;
        }
        let standing = StandingRoot::new(place.path().join("root"), devices);
        Ok(RootCopy { place, standing, lowers: Vec::new(), whole: 0 })
    }

    /// Returns it as a command takes it.
    pub fn root(&self) -> Root {
        Root { lowers: Vec::new(), upper: self.standing.root().to_owned(), work: self.place.path().join("work") }
    }

    /// Moves what a command has changed into `upper`, in overlayfs' form: see [`StandingRoot::take`].
    pub fn settle(&mut self, provided: &[Provided], upper: &Path) -> Result<()> {
        self.standing.take(&self.lowers, provided, upper)?;
        // What was moved there is laid over it again if another command comes.
        self.lowers.insert(0, upper.to_owned());
        Ok(())
    }
}
