//! A root file system in a directory of its own, for where no overlay is available: a copy of the directories that an overlay
//! would stack, and after a command what has changed in it, as overlayfs would have it.

mod change;
mod copy;
mod devices;
mod marks;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::error::Result;
use crate::layer::stack::within;
use copy::{Copied, TreeCopy};
use devices::Device;
use marks::ObjectMarks;

pub use copy::{copy, link, replace_by_copy, settle_as};
pub use devices::Devices;
pub use marks::outlast;

/// A root file system in a directory of its own. Nobody else may look into it.
#[derive(Debug)]
pub struct StandingRoot {
    root: PathBuf,
    devices: Devices,
    /// By inode.
    dead: HashMap<u64, Device>,
    /// What is there but for what a command has changed; none before it is first asked for.
    marks: Option<ObjectMarks>,
}

/// Returns the paths of all files below `root`, which are not directories, and their inodes.
pub fn files_of(root: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let marks = ObjectMarks::of(root)?;
    let files = marks.iter().filter(|(_, mark)| mark.kind == FileType::RegularFile);
    Ok(files.map(|(path, mark)| (within(root, &path), mark.inode)).collect())
}

impl StandingRoot {
    /// Begins one in `root`, an empty directory.
    pub fn new(root: PathBuf, devices: Devices) -> Self {
        StandingRoot { root, devices, dead: HashMap::new(), marks: None }
    }

    /// Returns where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Copies `lower`, a directory in overlayfs' form, over what is there: it then holds what an overlay of all that was laid
    /// shows. Files share their blocks with what they are copied from where the file system can do that. Each name of a file
    /// becomes a file of its own, as it does in an overlay with the first change: what is done to one is not done to the other.
    pub fn lay(&mut self, lower: &Path) -> Result<()> {
        let Copied { directories, dead } = TreeCopy::new(lower, &self.root, self.devices).apart().run()?;
        self.dead.extend(dead);
        self.marks.as_mut().map_or(Ok(()), |marks| marks.renew(&self.root, directories))
    }

    /// Sees to it that whatever is changed from then on is found by [`StandingRoot::take`], even where size and times are what
    /// they were: this returns when the clock of the file system has gone on. All that is there is looked at the first time
    /// alone: from then on it is known.
    pub fn mark(&mut self) -> Result<()> {
        let marks = match self.marks.take() {
            Some(marks) => marks,
            None => ObjectMarks::of(&self.root)?,
        };
        self.marks.insert(marks).outlast(&self.root)
    }
}
