//! What a running build or push says of itself. The library only calls back; whoever called it decides what to show.

mod step;
mod target;
mod warning;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::oci::{Descriptor, Digest, Platform, Reference};

pub use step::{DoneBecause, KnownBy, PlannedStep, StepOutcome, StepPart, StepPlace};
pub use target::FinishedTarget;
pub use warning::WarningKind;

/// Called from many threads at once and in no promised order between different layers and blobs.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// One thing that happens. Whoever is told copies what it keeps: all that an event borrows goes when the call returns.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// `layer` numbers the layers of one build; `size` is that of the tar, in bytes. A layer starts twice if it was
    /// looked for among those of earlier images, and not found.
    LayerStarted {
        /// The number of the layer, the same in all events about it.
        layer: usize,
        /// The name of the layer's step.
        title: &'a str,
        /// The size of the tar, in bytes.
        size: u64,
    },
    /// `bytes` more of the tar are hashed and compressed.
    LayerAdvanced {
        /// The number of the layer.
        layer: usize,
        /// Bytes of the tar since the last event of this layer.
        bytes: u64,
    },
    /// A layer is complete, and its blob stands in the local store.
    LayerFinished {
        /// The number of the layer.
        layer: usize,
        /// The blob as a manifest lists it.
        descriptor: &'a Descriptor,
    },
    /// A layer was made by an earlier build, from what still looks the same.
    LayerKnown {
        /// The name of the layer's step.
        title: &'a str,
        /// The blob as a manifest lists it.
        descriptor: &'a Descriptor,
    },
    /// A layer that had started is taken from the image `from`, which has the same one.
    LayerTaken {
        /// The number of the layer, which does not finish.
        layer: usize,
        /// The name of the layer's step.
        title: &'a str,
        /// The blob as a manifest lists it.
        descriptor: &'a Descriptor,
        /// The name of the image.
        from: &'a str,
    },
    /// A context has two files that say how to build, and one of them is taken.
    RecipeTaken {
        /// The name of the file that is taken.
        taken: &'a str,
        /// The name of the file that is not read.
        left: &'a str,
    },
    /// A command of a step is started.
    CommandStarted {
        /// The number of the command in this build, the same in all events about it; they count from 1 in the order in which
        /// they are started.
        command: usize,
        /// The step that it is of.
        step: StepPlace<'a>,
    },
    /// A command is not run: an earlier build has, on the same.
    CommandKnown {
        /// The number of the command, which counts among those that are started.
        command: usize,
        /// The step that it is of.
        step: StepPlace<'a>,
    },
    /// A command has written something.
    CommandOutput {
        /// The number of the command.
        command: usize,
        /// The stream that it has written to.
        stream: OutputStream,
        /// The bytes as they came: foreign, of any encoding, and cut anywhere.
        bytes: &'a [u8],
    },
    /// A command has ended, well or not.
    CommandFinished {
        /// The number of the command.
        command: usize,
        /// The time that it has taken.
        elapsed: Duration,
        /// The way in which it has ended; none if it could not be started, or was stopped.
        end: Option<CommandEnd>,
    },
    /// These steps are to be done, each behind those that it stands on, and none is begun. A build that is made twice, to
    /// compare, has them twice.
    StepsPlanned {
        /// The steps, each at the place that its index says.
        steps: &'a [PlannedStep<'a>],
        /// The names of the targets.
        targets: &'a [&'a str],
    },
    /// A thread begins with a part of a step.
    PartStarted {
        /// The index of the step.
        index: usize,
        /// The part.
        part: StepPart,
        /// The time for which nothing but a thread was missing.
        waited: Duration,
        /// The number of the thread, counted from 0.
        worker: usize,
    },
    /// The thread has done with the part.
    PartFinished {
        /// The index of the step.
        index: usize,
        /// The part.
        part: StepPart,
        /// It has not failed, and was not stopped.
        is_done: bool,
    },
    /// What has become of a step is certain. It is told of once, and not at all of steps that nobody needs.
    StepSettled {
        /// The index of the step.
        index: usize,
        /// What it has come to.
        outcome: StepOutcome,
        /// The blob of its layer; none if it changes nothing, or nobody needs the layer.
        layer: Option<&'a Descriptor>,
    },
    /// So many of the steps of a build are done, the known ones among them.
    StepsAdvanced {
        /// The steps that are done.
        done: usize,
        /// The steps that the build has.
        steps: usize,
    },
    /// So many of the steps of a target are done, where several are built.
    TargetAdvanced {
        /// The name of the target.
        target: &'a str,
        /// The steps that are done.
        done: usize,
        /// The steps that it has.
        steps: usize,
        /// The steps among those that are done that an earlier build, or this one for another target, has done.
        known: usize,
    },
    /// All targets are built, and are where they go to.
    TargetsFinished {
        /// The targets in the order in which they were asked for.
        targets: &'a [FinishedTarget<'a>],
    },
    /// A second build has come to the same as the first one.
    BuiltAgain {
        /// The digest that both have.
        digest: Digest,
    },
    /// These blobs are pulled from now on: they are not in the local store.
    PullPlanned {
        /// The blobs, with their sizes in bytes.
        blobs: &'a [&'a Descriptor],
    },
    /// A directory that commands keep is here as it was left elsewhere: nothing was in it.
    CacheMountPulled {
        /// The ID of the cache mount.
        id: &'a str,
        /// The name of the place that it comes from.
        from: &'a str,
        /// The size of its layers as they came, in bytes.
        size: u64,
        /// The number of its layers.
        layers: usize,
    },
    /// A directory that commands keep is elsewhere as it is here.
    CacheMountPushed {
        /// The ID of the cache mount.
        id: &'a str,
        /// The name of the place that it went to.
        to: &'a str,
        /// The size of the layer that is new there, in bytes; 0 if its content is what it was, and has another key.
        size: u64,
        /// The number of its layers.
        layers: usize,
    },
    /// Something begins to come from elsewhere.
    FetchStarted {
        /// The number of the fetch, the same in all events about it, and no other's in this process.
        fetch: usize,
        /// What comes.
        what: Fetched<'a>,
        /// The size in bytes; none if nobody knows it.
        size: Option<u64>,
    },
    /// A part of it has come.
    FetchAdvanced {
        /// The number of the fetch.
        fetch: usize,
        /// Bytes as they came since the last event of this fetch.
        bytes: u64,
    },
    /// Nothing more of it comes.
    FetchFinished {
        /// The number of the fetch.
        fetch: usize,
        /// All of it is here.
        is_whole: bool,
    },
    /// From now on blobs go to an output, or to a repository.
    OutputStarted {
        /// The output as a person names it: its path, with its kind where there are several; or the repository's name.
        output: &'a str,
        /// The blobs that it is to have; those that are there already are among them.
        blobs: usize,
    },
    /// A blob of `descriptor.size` bytes begins to move.
    BlobStarted {
        /// The blob, with its size in bytes.
        descriptor: &'a Descriptor,
    },
    /// A part of a blob has moved.
    BlobAdvanced {
        /// The digest of the blob, which had started.
        digest: Digest,
        /// Bytes as stored since the last event of this blob.
        bytes: u64,
    },
    /// What had advanced is void: the far side has the first `from` bytes, and the blob goes on from there.
    BlobRestarted {
        /// The digest of the blob, which had started.
        digest: Digest,
        /// The number of bytes at the far side.
        from: u64,
    },
    /// A blob is where it goes to. One that was there already may not have started.
    BlobFinished {
        /// The digest of the blob.
        digest: Digest,
        /// The way in which it came there.
        outcome: BlobOutcome,
    },
    /// An output on disk is complete.
    OutputWritten {
        /// The output as a person names it: its path, with its kind where there are several.
        output: &'a str,
    },
    /// What becomes of a tag of a release, before any is set; `change` is in words.
    TagPlanned {
        /// The tag with its repository, in full.
        name: &'a str,
        /// The words for what becomes of it.
        change: &'a str,
        /// It is to be set.
        sets: bool,
    },
    /// An image of the local store is taken, where a registry may have another of that name.
    LocalImageTaken {
        /// The name or ID by which it was asked for.
        name: &'a str,
        /// The digest of its manifest or index.
        digest: Digest,
        /// The time at which it got its name, in seconds since 1970; none if it was asked for by its ID.
        since: Option<u64>,
    },
    /// The local store has no image of that name; it is built.
    NameNotFound {
        /// The name in full.
        name: &'a Reference,
    },
    /// An image has this name in the local store from now on.
    ImageNamed {
        /// The name in full.
        name: &'a Reference,
        /// The digest of its manifest or index.
        digest: Digest,
    },
    /// An engine has an image under this name from now on.
    ImageLoaded {
        /// The name of the engine.
        engine: &'a str,
        /// The name of the image in full, or the digest of its config if it has none.
        image: &'a str,
        /// The platform that the engine has got, if the image has more.
        platform: Option<&'a Platform>,
        /// The engine had it before, and was sent nothing.
        was_there: bool,
    },
    /// An index or manifest now stands under this tag (or digest) in the repository.
    ManifestPushed {
        /// The repository, without the tag.
        repository: &'a Reference,
        /// The tag, or the digest if there is no tag.
        name: &'a str,
        /// The digest of the document that stands there now.
        digest: Digest,
    },
    /// A request failed in a way that may pass; it is made again after `wait`.
    Retrying {
        /// The method and the URL, without credentials and query.
        request: &'a str,
        /// The failure, in words.
        reason: &'a str,
        /// What to do about it; none if nobody knows.
        hint: Option<&'a str>,
        /// The tries that have failed.
        failed: u32,
        /// The tries that there are in all.
        tries: u32,
        /// The time that passes before the next try.
        wait: Duration,
    },
    /// Something is not as it should be, and the work goes on; `message` says what and why.
    Warning {
        /// The kind, for programs.
        kind: WarningKind<'a>,
        /// The sentence for people; it may hold foreign text as it is.
        message: &'a str,
    },
}

/// Something that comes from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched<'a> {
    /// What a name in a registry stands for.
    Name(&'a str),
    /// A blob of an image.
    Blob {
        /// The digest of the blob.
        digest: Digest,
        /// The name of the repository that it is pulled from.
        repository: &'a str,
    },
    /// A file of a web server, by its URL without credentials and query.
    File(&'a str),
    /// The files of a git repository, by its URL without credentials.
    Repository(&'a str),
}

/// Tells of one thing that comes from elsewhere, from its start until this goes.
pub struct Fetch<'a> {
    progress: Progress<'a>,
    number: usize,
    is_whole: bool,
}

/// The number of the next fetch.
static NEXT_FETCH: AtomicUsize = AtomicUsize::new(1);

impl<'a> Fetch<'a> {
    /// Tells that `what`, of `size` bytes if anybody knows, begins to come.
    pub fn begin(progress: Progress<'a>, what: Fetched<'_>, size: Option<u64>) -> Self {
        let number = NEXT_FETCH.fetch_add(1, Ordering::Relaxed);
        progress(Event::FetchStarted { fetch: number, what, size });
        Fetch { progress, number, is_whole: false }
    }

    /// Tells that so many bytes more have come.
    pub fn advance(&self, bytes: u64) {
        (self.progress)(Event::FetchAdvanced { fetch: self.number, bytes });
    }

    /// Notes that all of it is here, which is told when this goes.
    pub fn complete(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        (self.progress)(Event::FetchFinished { fetch: self.number, is_whole: self.is_whole });
    }
}

/// The way in which a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// A stream that commands write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// The standard output.
    Output,
    /// The standard error.
    Error,
}

/// The way in which a blob came to be where it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOutcome {
    /// To a registry.
    Sent,
    /// To a file.
    Written,
    /// The far side had it.
    Present,
    /// The far side had it in another repository.
    Mounted,
}

/// Does nothing: for callers that want no news.
pub fn silent(_: Event<'_>) {}
