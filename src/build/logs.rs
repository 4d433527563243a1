//! All that commands write, in files: one for each, written as it comes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::kernel::PLACE;
use crate::progress::StepPlace;
use crate::sync::locked;

/// So often a name is made free that somebody else takes at the same moment.
const TRIES: usize = 100;
/// In bytes: of a longer name of a stage only the beginning is in that of a file.
const LONGEST_STAGE: usize = 100;

/// The directory for the logs of a build.
#[derive(Debug)]
pub struct CommandLogs {
    directory: OwnedFd,
    path: PathBuf,
    /// Those of this build.
    names: Mutex<HashSet<String>>,
}

/// The file that a running command's output goes to.
pub struct CommandLog {
    file: File,
    path: PathBuf,
    failure: Option<io::Error>,
}

impl CommandLogs {
    /// Opens the directory at `path`, which is made if it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(|source| Error::io("create the directory", path, source))?;
        let directory = openat(CWD, path, PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let directory = directory.map_err(|errno| Error::io("open the directory", path, errno.into()))?;
        Ok(CommandLogs { directory, path: path.to_owned(), names: Mutex::default() })
    }

    /// Begins the log of the command of `step`, in place of one that an earlier build has left: `STAGE-NUMBER.log`, with the
    /// target in front if there are several, and the platform if the stage is there `for_several`. A link of that name is replaced, never followed.
    pub fn begin(&self, step: StepPlace<'_>, for_several: bool) -> Result<CommandLog> {
        let name = self.name(step, for_several);
        let path = self.path.join(&name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno: Errno| Error::io("write the log", &path, errno.into());
        for _ in 0..TRIES {
            // Less the umask.
            match openat(&self.directory, &name, flags, Mode::from_raw_mode(0o666)) {
                Err(Errno::EXIST) => match unlinkat(&self.directory, &name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(failed(errno)),
                },
                opened => {
                    let file = opened.map_err(failed)?.into();
                    return Ok(CommandLog { file, path, failure: None });
                }
            }
        }
        Err(failed(Errno::EXIST))
    }

    /// The name of a file that no other command of this build has.
    fn name(&self, StepPlace { target, stage, platform, number, .. }: StepPlace<'_>, for_several: bool) -> String {
        let platform = if for_several { format!("{platform}-") } else { String::new() };
        let stage = target.map(|target| format!("{target}-{stage}")).unwrap_or_else(|| stage.to_owned());
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
        let stage: String = stage.chars().map(plain).take(LONGEST_STAGE).collect();
        let platform: String = platform.chars().map(plain).collect();
        let stem = format!("{platform}{stage}-{number:02}");
        // It is to be seen.
        let stem = stem.strip_prefix('.').map(|rest| format!("_{rest}")).unwrap_or(stem);
        let mut names = locked(&self.names);
        let mut name = format!("{stem}.log");
        let mut more = 2;
        while !names.insert(name.clone()) {
            name = format!("{stem}-{more}.log");
            more += 1;
        }
        name
    }
}

impl CommandLog {
    /// Writes what has come.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.failure.is_none() {
            self.failure = self.file.write_all(bytes).err();
        }
    }

    /// Fails if not all could be written.
    pub fn finish(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), |source| Err(Error::io("write the log", &self.path, source)))
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::oci::Platform;

    #[test]
    fn a_file_is_named_for_its_step_and_lies_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let logs = CommandLogs::open(&place.path().join("a/b")).unwrap();
        let platform: Platform = "linux/arm/v7".parse().unwrap();
        let name = |stage: &str, number, for_several| {
            let step =
                StepPlace { index: 0, title: "RUN x", target: None, stage, platform: &platform, number, line: None };
            logs.begin(step, for_several).unwrap().path().file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name("build", 3, false), "build-03.log");
        assert_eq!(name("build", 3, false), "build-03-2.log");
        assert_eq!(name("build", 3, true), "linux-arm-v7-build-03.log");
        assert_eq!(name("../../etc/x y\n", 120, false), "_.-..-etc-x-y--120.log");
        assert_eq!(name(&"a".repeat(1000), 1, false).len(), LONGEST_STAGE + 7);
        assert_eq!(fs::read_dir(place.path().join("a/b")).unwrap().count(), 5);
    }

    #[test]
    fn a_link_is_replaced_and_a_directory_stays() {
        let place = tempfile::tempdir().unwrap();
        let other = place.path().join("other");
        fs::write(&other, "kept").unwrap();
        symlink(&other, place.path().join("a-01.log")).unwrap();
        fs::create_dir(place.path().join("a-02.log")).unwrap();
        let logs = CommandLogs::open(place.path()).unwrap();
        let platform: Platform = "linux/amd64".parse().unwrap();
        let begin = |number| {
            let step = StepPlace {
                index: 0,
                title: "RUN x",
                target: None,
                stage: "a",
                platform: &platform,
                number,
                line: None,
            };
            logs.begin(step, false)
        };
        let mut log = begin(1).unwrap();
        log.add(b"\xff\x1b[31m\n");
        log.finish().unwrap();
        assert_eq!(fs::read(place.path().join("a-01.log")).unwrap(), b"\xff\x1b[31m\n");
        assert_eq!(fs::read_to_string(other).unwrap(), "kept");
        assert!(begin(2).map(drop).unwrap_err().message.starts_with("cannot write the log "));
    }
}
