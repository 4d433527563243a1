//! `--timings`: how long each step took, and what it waited for, as a page or as data.
//!
//! A [recording](recording) is made of the events of any command that builds; what it comes to is a [report](report), of which
//! the [page](page) is made. What progress shows may stand there, and nothing else: what commands write does not, since a page
//! is passed on where a log is not.

mod critical;
mod page;
mod processor;
mod recorder;
mod recording;
mod report;
mod verdict;

use std::ffi::{OsStr, OsString};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use clap::Args;

use self::recorder::Recorder;
use self::report::TimingsEnding;
use super::progress::Reporter;
use crate::error::{Error, Result, escape};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::pending::PendingFile;
use crate::sync::locked;

/// The flag as it is typed.
const FLAG: &str = "--timings";

/// The flag that asks for timings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct TimingsFlags {
    /// Write how long each step took and what it waited for, to a page (.html) or as data (.json)
    ///
    /// Without FILE, the page goes to the directory for temporary files, and its name is printed: in the context, it would
    /// change the context each time.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = file)]
    timings: Vec<PathBuf>,
}

/// Reads the name of a file, which is empty where none is given.
fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match text.is_empty() || is_file(path.as_os_str()) {
        true => Ok(path),
        false => Err("its name must end in .html for a page, or in .json for data".to_owned()),
    }
}

/// Returns whether a word names a file that timings can go to.
fn is_file(word: &OsStr) -> bool {
    [".html", ".htm", ".json"].iter().any(|end| word.as_bytes().ends_with(end.as_bytes()))
}

/// Returns the words of a command line with the file of `--timings` joined to it, if that is the next word. Another word is
/// the context, or whatever else the command takes: the flag needs no file.
pub fn with_file(words: Vec<OsString>) -> Vec<OsString> {
    let mut words = words.into_iter().peekable();
    let (mut joined, mut is_over) = (Vec::new(), false);
    while let Some(mut word) = words.next() {
        is_over |= word == "--";
        let takes_file = word == FLAG && !is_over;
        if let Some(file) = words.next_if(|next| takes_file && is_file(next)) {
            word.push("=");
            word.push(file);
        }
        joined.push(word);
    }
    joined
}

/// The recorder that is at work, for when it all ends.
static LAST: Mutex<Weak<Recorder>> = Mutex::new(Weak::new());

impl TimingsFlags {
    /// Does `work`, of which `reporter` shows what it tells, and writes how long everything took, if that is asked for: also
    /// where it fails. `title` is what a reader knows it by. Fails before the work is begun where a file cannot be written.
    pub fn record<T>(
        &self,
        title: &str,
        reporter: &Reporter,
        work: impl FnOnce(Progress<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.timings.is_empty() {
            return work(&|event| reporter.report(event));
        }
        self.timings
            .iter()
            .filter(|file| !file.as_os_str().is_empty())
            .try_for_each(|file| PendingFile::check(file))?;
        let recorder = Arc::new(Recorder::start(title, self.timings.clone())?);
        *locked(&LAST) = Arc::downgrade(&recorder);
        let outcome = work(&|event| {
            recorder.note(event);
            reporter.report(event);
        });
        let ending = outcome.as_ref().map_or_else(TimingsEnding::of, |_| TimingsEnding::Done);
        match (recorder.write(ending), outcome) {
            (Ok(written), outcome) => {
                written.iter().for_each(|path| reporter.report(Event::OutputWritten { output: &told(path) }));
                outcome
            }
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(failure)) => {
                let message = error.message.as_str();
                reporter.report(Event::Warning { kind: WarningKind::TimingsNotWritten, message });
                Err(failure)
            }
        }
    }
}

fn told(path: &Path) -> String {
    format!("timings {}", path.display())
}

/// Writes what there is so far of what is being recorded, since `word` ends it all. Returns `word`, with what was written.
pub fn end_with(word: &str) -> String {
    let recorder = locked(&LAST).upgrade();
    let ending = TimingsEnding::Interrupted { message: word.to_owned() };
    let written = recorder.and_then(|recorder| recorder.write(ending).ok()).unwrap_or_default();
    iter::once(word.to_owned())
        .chain(written.iter().map(|path| format!("wrote {}", told(path))))
        .collect::<Vec<_>>()
        .join("; ")
}

impl TimingsEnding {
    /// Returns the ending that `error` is. The last lines that a command has written are not in it.
    fn of(error: &Error) -> Self {
        let excerpt = error.excerpt.as_ref();
        TimingsEnding::Failed {
            message: escape::line(&error.message),
            at: excerpt.map(|excerpt| escape::line(&format!("{}:{}", excerpt.file, excerpt.line))),
            line: excerpt.map(|excerpt| escape::source(&excerpt.text)),
            hint: error.hint.as_deref().map(escape::line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(line: &str) -> String {
        let words = with_file(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_file_may_be_a_word_of_its_own_and_a_context_is_none() {
        assert_eq!(joined("ocibake build --timings a.html ."), "ocibake build --timings=a.html .");
        assert_eq!(
            joined("ocibake build --timings a.json --timings b.html"),
            "ocibake build --timings=a.json --timings=b.html"
        );
        for line in [
            "ocibake build --timings .",
            "ocibake build . --timings",
            "ocibake build --timings=x.html y.html",
            "x -- --timings a.html",
        ] {
            assert_eq!(joined(line), line);
        }
    }
}
