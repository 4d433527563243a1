//! Where an archive is written to: a file that appears in one step, or the standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::pending::PendingFile;

/// The path that stands for the standard output.
pub const STANDARD_OUTPUT: &str = "-";

/// A file or a stream that is being written.
pub(super) enum Sink {
    File(PendingFile),
    Stream(File),
    /// What leads to an engine.
    Engine(Box<dyn Write + Send>),
}

impl Sink {
    /// Begins a file beside `destination`, or the stream that it stands for. What was written to a stream stays if what is
    /// written later fails: its reader is told by the end that is missing.
    pub fn open(destination: &Path) -> Result<Self> {
        match destination == Path::new(STANDARD_OUTPUT) {
            true => standard_output().map(Sink::Stream),
            false => PendingFile::beside(destination).map(Sink::File),
        }
    }

    /// Lets what was written stand at `destination`.
    pub fn keep(self, destination: &Path) -> Result<()> {
        match self {
            Sink::File(pending) => pending.keep(destination),
            Sink::Stream(_) | Sink::Engine(_) => Ok(()),
        }
    }
}

/// Opens the standard output for what is not text.
pub(super) fn standard_output() -> Result<File> {
    let opened = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    opened.map_err(|source| Error::io("write to", TITLE, source))
}

/// Returns the path that errors tell for `destination`.
pub(super) fn shown(destination: &Path) -> &Path {
    if destination == Path::new(STANDARD_OUTPUT) { Path::new(TITLE) } else { destination }
}

/// Returns whether `error` is that whoever was to read what is written does not read any more.
pub(super) fn is_unread(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

const TITLE: &str = "standard output";

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(pending) => pending.write(bytes),
            Sink::Stream(stream) => stream.write(bytes),
            Sink::Engine(engine) => engine.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(pending) => pending.flush(),
            Sink::Stream(stream) => stream.flush(),
            Sink::Engine(engine) => engine.flush(),
        }
    }
}
