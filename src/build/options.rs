//! How to build.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::logs::CommandLogs;
use crate::error::Result;
use crate::layer::Compression;
use crate::plan::SecretSource;
use crate::progress::{Progress, silent};
use crate::registry::OnDemand;
use crate::run::Sandbox;
use crate::source::cached::CachedImages;
use crate::source::modified::Modified;
use crate::source::mount_cache::MountCache;
use crate::source::signature::SigningKey;
use crate::source::step_cache::StepCache;
use crate::store::{Follow, LocalStore, Store};

/// Returns the value of a secret.
pub type ReadSecret<'a> = &'a (dyn Fn(&SecretSource) -> Result<Vec<u8>> + Sync);

/// Gives a terminal to a shell in what a failed command has left. It is told why that failed, and calls what runs the shell
/// with the terminal and the name of its kind (`TERM`), if that is known.
pub type OpenShell<'a> = &'a (dyn Fn(&str, RunShell<'_>) -> Result<()> + Sync);

/// Runs a shell on a terminal, until it ends.
pub type RunShell<'a> = &'a mut dyn FnMut(BorrowedFd<'_>, Option<&OsStr>) -> Result<()>;

/// How to build; nothing of this but `modified` and `compression` reaches a blob.
pub struct Options<'a> {
    /// The store that takes layers and documents, and remembers what they were made from.
    pub store: &'a LocalStore,
    /// Where each of the plan's contexts lies.
    pub contexts: &'a [PathBuf],
    /// Has the layers of the images that the plan stands on and takes from.
    pub bases: &'a dyn Store,
    /// For what is downloaded.
    pub client: &'a OnDemand,
    /// The form of the layers; another one gives other digests.
    pub compression: Compression,
    /// The time that the files of layers carry.
    pub modified: Modified,
    /// Put all that the steps of an image change into one layer over its base.
    pub squash: bool,
    /// Threads; 0 is one for each core up to [`USUAL_THREADS`](crate::layer::USUAL_THREADS), and more than [`MOST_JOBS`](super::MOST_JOBS) are not started.
    pub jobs: usize,
    /// Take files that look as they did in an earlier build for the same, unread.
    pub trust_times: bool,
    /// What was found out to run commands in; without, it is found out when the first one is to be run.
    pub sandbox: Option<&'a Sandbox>,
    /// Opens a shell where a command fails; the build fails all the same.
    pub shell: Option<OpenShell<'a>>,
    /// Where all that commands write goes, too.
    pub logs: Option<&'a CommandLogs>,
    /// Reads the value of a secret, when a command needs it.
    pub secret: ReadSecret<'a>,
    /// The images whose layers need not be made, though their files are read. Their blobs stay where they are.
    pub cached: Option<&'a CachedImages<'a>>,
    /// The steps that other machines have done, and the places that this build keeps its own in for them.
    pub steps: Option<&'a StepCache<'a>>,
    /// Signs what images say of the steps that they came about by.
    pub signing: Option<&'a SigningKey>,
    /// Brings the cache mounts of commands from elsewhere.
    pub mounts: Option<&'a MountCache<'a>>,
    /// Told of each layer that is made from the ground up, when it is begun.
    pub follow: Option<Follow<'a>>,
    /// Told of each step, layer and warning, by several threads at once.
    pub progress: Progress<'a>,
}

impl<'a> Options<'a> {
    /// Returns the options of a build without contexts whose bases lie in `store`, too: layers are gzip, all cores are used, and files
    /// that look as they did are taken for the same. Every secret is empty, nothing comes from other machines, and nobody is told.
    pub fn new(store: &'a LocalStore, client: &'a OnDemand) -> Self {
        Options {
            store,
            contexts: &[],
            bases: store,
            client,
            compression: Compression::default(),
            modified: Modified::default(),
            squash: false,
            jobs: 0,
            trust_times: true,
            sandbox: None,
            shell: None,
            logs: None,
            secret: &|_| Ok(Vec::new()),
            cached: None,
            steps: None,
            signing: None,
            mounts: None,
            follow: None,
            progress: &silent,
        }
    }
}
