//! Records while something is built, and writes what came of it.

use std::env;
use std::fs::File;
use std::io::Write;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::page::page;
use super::processor::ProcessorSampler;
use super::recording::Recording;
use super::report::{RunFacts, TimingsEnding, TimingsReport};
use crate::error::{Error, Result, escape};
use crate::oci::to_json;
use crate::plan::label;
use crate::progress::Event;
use crate::store::pending::PendingFile;
use crate::sync::locked;

/// A recording that is being made.
pub struct Recorder {
    title: String,
    began: Instant,
    /// As in RFC 3339.
    started: String,
    recording: Mutex<Recording>,
    sampler: ProcessorSampler,
    /// The files that are still to be written: an empty one is yet to be named.
    files: Mutex<Vec<PathBuf>>,
}

impl Recorder {
    /// Begins to record, for `files`.
    pub fn start(title: &str, files: Vec<PathBuf>) -> Result<Self> {
        let began = Instant::now();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        Ok(Recorder {
            title: escape::line(title),
            began,
            started: label::rfc3339(i64::try_from(seconds).unwrap_or(i64::MAX))?,
            recording: Mutex::default(),
            sampler: ProcessorSampler::start(began),
            files: Mutex::new(files),
        })
    }

    /// Notes what `event` tells.
    pub fn note(&self, event: Event<'_>) {
        // These are many, and tell nothing of time.
        if matches!(event, Event::LayerAdvanced { .. } | Event::CommandOutput { .. } | Event::StepsAdvanced { .. }) {
            return;
        }
        let recording = &mut *locked(&self.recording);
        recording.note(event, self.began.elapsed());
    }

    /// Writes all files, each in one step, unless they are written already. Returns their paths.
    pub fn write(&self, ending: TimingsEnding) -> Result<Vec<PathBuf>> {
        let files = mem::take(&mut *locked(&self.files));
        if files.is_empty() {
            return Ok(files);
        }
        let samples = self.sampler.look();
        let recording = mem::take(&mut *locked(&self.recording));
        let facts = RunFacts {
            title: self.title.clone(),
            started: self.started.clone(),
            ending,
            end: self.began.elapsed(),
            processors: ProcessorSampler::processors(),
            samples,
        };
        let report = TimingsReport::new(&recording, facts);
        files.into_iter().map(|file| self.write_file(&report, file)).collect()
    }

    fn write_file(&self, report: &TimingsReport, file: PathBuf) -> Result<PathBuf> {
        if file.extension().is_some_and(|extension| extension == "json") {
            let document = escape::json(&String::from_utf8_lossy(&to_json(report)));
            PendingFile::replace(&file, document.as_bytes())?;
            return Ok(file);
        }
        let page = page(report);
        if file.as_os_str().is_empty() {
            let file = unnamed(&self.started);
            write_private(&file, page.as_bytes())?;
            return Ok(file);
        }
        PendingFile::replace(&file, page.as_bytes())?;
        Ok(file)
    }
}

/// Returns where the page goes that is given no name, and which began at `started`: there is no other of that name.
fn unnamed(started: &str) -> PathBuf {
    let time: String = started.chars().filter(char::is_ascii_alphanumeric).collect();
    env::temp_dir().join(format!("ocibake-timings-{time}-{}.html", process::id()))
}

/// Writes a file that is nobody else's to read: the directory for temporary files is everybody's.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    PendingFile::check(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let opened = File::open(directory).map_err(|source| Error::io("open", directory, source))?;
    let mut file = PendingFile::private_within(&Arc::new(OwnedFd::from(opened)), directory)?;
    file.write_all(bytes).map_err(|source| Error::io("write", path, source))?;
    file.keep(path)
}
