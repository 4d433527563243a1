//! Real paths: none of their names is a link. What is opened by one is what it names, whoever exchanges a part of it for a
//! link meanwhile; and what a context names is looked for within the context.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::kernel::{Found, PLACE, open_at_once};
use crate::tree::path::LINKS_LIMIT;

/// Opens what is at `path`. `ELOOP` or `ENOTDIR` if any name of it is a link by now; only with `O_PATH` may the last one be.
pub fn open_real(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open_at_once(path, flags) {
        // Other systems and kernels before 5.6 do not have the call, and sandboxes made before it refuse it.
        Err(Errno::NOSYS | Errno::PERM) => open_by_names(path, flags),
        opened => opened,
    }
}

/// Finds what is at `path`, as [`open_real`] would, but of whatever kind: it is not opened for being read. The last name may be
/// a link.
pub fn find_real(path: &Path) -> Result<Found, Errno> {
    Found::find(path, open_real)
}

/// Opens the file at the real path `path`, which errors call `shown`. What is not a file is an error that says what it is; it is
/// neither waited for nor opened.
pub fn open_file(path: &Path, shown: &dyn Display) -> Result<File> {
    let failed = |errno: Errno| Error::io("read", shown.to_string(), errno.into());
    let check = |status: Stat| match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Ok(()),
        other => Err(Error::input(format!("{shown} is {}, not a file", name_of(other)))),
    };
    find_real(path).and_then(|found| found.status()).map_err(failed).and_then(check)?;
    let opened = open_real(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(failed)?;
    fstat(&opened).map_err(failed).and_then(check)?;
    Ok(File::from(opened))
}

/// Returns the real path to which `path` leads in `root`, a real one; errors call it `shown`. Links are followed as long as
/// they stay within `root`, the last name's too. That something is there now is all that is known of it.
///
/// What leads out of `root` is an error, as are too many links; nothing is told of what is out there.
pub fn real_within(root: &Path, path: &Path, shown: &dyn Display) -> Result<PathBuf> {
    let failed = |errno: Errno| Error::io("read", shown.to_string(), errno.into());
    let mut real = root.to_owned();
    let mut ahead: Vec<OsString> = Vec::new();
    let mut way = Some(path.to_owned());
    let mut links = 0;
    loop {
        if let Some(way) = way.take() {
            let way = if way.is_absolute() {
                real = root.to_owned();
                way_within(root, &way).ok_or_else(|| leads_out(shown))?
            } else {
                way
            };
            ahead.extend(
                way.components().rev().filter(|part| *part != Component::CurDir).map(|it| it.as_os_str().into()),
            );
        }
        let Some(name) = ahead.pop() else { return Ok(real) };
        if name == ".." {
            if real == root {
                // It may come back by another name.
                let rest = ahead.drain(..).rev();
                way = Some(root.parent().unwrap_or(root).join(rest.collect::<PathBuf>()));
            } else {
                real.pop();
            }
            continue;
        }
        real.push(&name);
        let object = find_real(&real).map_err(failed)?;
        match FileType::from_raw_mode(object.status().map_err(failed)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > LINKS_LIMIT {
                    return Err(Error::input(format!("the way to {shown} leads through too many links")));
                }
                let (directory, name) = object.place();
                let target = readlinkat(directory, name, Vec::new()).map_err(failed)?;
                real.pop();
                way = Some(PathBuf::from(OsString::from_vec(target.into_bytes())));
            }
            FileType::Directory => {}
            _ if ahead.is_empty() => {}
            _ => return Err(failed(Errno::NOTDIR)),
        }
    }
}

/// Returns what messages call it.
pub fn name_of(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a link",
        FileType::Socket => "a socket",
        FileType::Fifo => "a FIFO",
        FileType::BlockDevice => "a block device",
        _ => "a character device",
    }
}

/// The way from `root` to `path`, an absolute one, if that is within.
fn way_within(root: &Path, path: &Path) -> Option<PathBuf> {
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    let below = |path: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
    // The root may have other names, by links above it; nothing is opened by them.
    below(path).filter(|_| is_plain).or_else(|| fs::canonicalize(path).ok().and_then(|path| below(&path)))
}

fn leads_out(shown: &dyn Display) -> Error {
    Error::input(format!("{shown} leads out of the context"))
        .with_hint("links are followed within the context: put what is needed there")
}

fn open_by_names(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = path.components().map(Component::as_os_str).peekable();
    let mut opened: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let on_the_way = PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = if names.peek().is_some() { on_the_way } else { flags };
        let next = |name: &OsStr| match &opened {
            Some(directory) => openat(directory, name, flags, Mode::empty()),
            None => openat(CWD, name, flags, Mode::empty()),
        };
        opened = Some(next(name)?);
    }
    opened.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The same as with `openat2`, where there is none.
    #[test]
    fn by_names_the_same_is_opened_and_refused() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "x").unwrap();
        symlink("b", root.join("a/link")).unwrap();
        symlink("f", root.join("a/b/last")).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for (path, is_opened) in [
            ("a/b/f", true),
            ("a/b", true),
            ("a/link/f", false),
            ("a/b/last", false),
            ("a/b/none", false),
            ("a/b/f/x", false),
        ] {
            for extra in [OFlags::empty(), OFlags::PATH, OFlags::DIRECTORY] {
                let path = root.join(path);
                let (whole, by_names) = (open_real(&path, flags | extra), open_by_names(&path, flags | extra));
                let identity = |opened: &OwnedFd| fstat(opened).map(|status| (status.st_dev, status.st_ino)).unwrap();
                assert_eq!(
                    whole.as_ref().ok().map(identity),
                    by_names.as_ref().ok().map(identity),
                    "{path:?} {extra:?}"
                );
                if extra.is_empty() {
                    assert_eq!(by_names.is_ok(), is_opened, "{path:?}");
                }
            }
        }
        assert!(open_by_names(Path::new(""), flags).is_err());
    }

    #[test]
    fn links_are_followed_within() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("c/d")).unwrap();
        for file in ["c/f", "c/d/g", "secret"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink(root.join("c"), root.join("other")).unwrap();
        let (context, other) = (root.join("c"), root.join("other/d/g"));
        for (link, target) in [
            ("d/up", "../f"),
            ("way", "d/up"),
            ("own", context.join("d/g").to_str().unwrap()),
            ("again", "../c/f"),
            ("other", other.to_str().unwrap()),
            ("out", "../secret"),
            ("nothing", "../nothing"),
            ("absolute", root.join("secret").to_str().unwrap()),
            ("round", "d/../../secret"),
            ("broken", "none"),
            ("self", "self"),
        ] {
            symlink(target, context.join(link)).unwrap();
        }
        let real = |path: &str| real_within(&context, Path::new(path), &"it");
        for (path, found) in [
            ("f", "f"),
            ("./d/../f", "f"),
            ("d/up", "f"),
            ("way", "f"),
            ("own", "d/g"),
            ("again", "f"),
            ("other", "d/g"),
            ("", ""),
        ] {
            assert_eq!(real(path).unwrap(), context.join(found), "{path}");
        }
        for path in ["out", "absolute", "round", "nothing", "../secret", "/etc/passwd", ".."] {
            assert_eq!(real(path).unwrap_err().message, "it leads out of the context", "{path}");
        }
        assert_eq!(real("broken").unwrap_err().kind, crate::error::ErrorKind::NotFound);
        assert!(real("self").unwrap_err().message.contains("too many links"));
        assert!(real("f/x").is_err() && real("f/../f").is_err());
    }
}
