//! The directory in which git keeps what it knows of a checkout (gitrepository-layout(5)), and its references.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::process::geteuid;

use super::object_id::{ObjectFormat, ObjectId};
use crate::error::{Error, Result};
use crate::source::git::config::Config;
use crate::source::git::regular;
use crate::sync::locked;
use crate::tree::{IdMap, NOBODY};

/// A repository with the checkout that it belongs to.
pub(super) struct GitRepository {
    /// The directory that `.git` is in. Where the configuration says that it is another, it is not believed.
    pub work_tree: PathBuf,
    /// The directory that is this checkout's alone: HEAD and the index.
    pub directory: PathBuf,
    /// The directory that linked work trees share: objects, references, configuration.
    pub common: PathBuf,
    pub config: Config,
    pub format: ObjectFormat,
}

/// The most that a file of a few lines has, in bytes.
const SHORT: u64 = 1 << 16;
const CONFIG_LIMIT: u64 = 16 << 20;
const PACKED_REFERENCES_LIMIT: u64 = 1 << 30;

/// The work trees of the repositories that were found to be believed while all owners could be told.
static BELIEVED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Finds out whether the repository that `directory` is in is to be believed, for later, when this process is where it
/// cannot tell one user from another. Whatever is wrong then shows.
pub(super) fn believe(directory: &Path) {
    if let Ok(Some(repository)) = GitRepository::around(directory) {
        locked(&BELIEVED).insert(repository.work_tree);
    }
}

fn has_all_owners() -> bool {
    IdMap::of_this_process().is_ok_and(|map| map.is_whole())
}

/// Git follows as many references that stand for others.
const REFERENCE_DEPTH: usize = 5;

impl GitRepository {
    /// Returns the repository that `directory`, which is absolute and without links, is in: as git, by the nearest
    /// `.git` upwards that is a repository, and not beyond where something else is mounted. Files of a repository that
    /// lie bare in a directory make it none.
    pub fn around(directory: &Path) -> Result<Option<GitRepository>> {
        let failed = |path: &Path, source| Error::io("read", path, source);
        let within = fs::metadata(directory).map_err(|source| failed(directory, source))?;
        for work_tree in directory.ancestors() {
            match fs::metadata(work_tree) {
                Ok(status) if status.dev() == within.dev() => {}
                _ => return Ok(None),
            }
            if let Some(repository) = GitRepository::of(work_tree)? {
                if !locked(&BELIEVED).contains(&repository.work_tree) {
                    repository.check_owner(within.uid())?;
                }
                return Ok(Some(repository));
            }
        }
        Ok(None)
    }

    /// Returns the repository whose checkout `work_tree` is itself; none if it is not one.
    pub fn of(work_tree: &Path) -> Result<Option<GitRepository>> {
        let named = work_tree.join(".git");
        let directory = match fs::metadata(&named) {
            Ok(status) if status.is_dir() => named,
            Ok(_) => pointed_to(&named, work_tree)?,
            Err(_) => return Ok(None),
        };
        let common = match regular::read(&directory.join("commondir"), SHORT)? {
            Some(text) => directory.join(path(text.trim_ascii())),
            None => directory.clone(),
        };
        let is_repository = directory.join("HEAD").symlink_metadata().is_ok()
            && common.join("objects").is_dir()
            && common.join("refs").is_dir();
        if !is_repository {
            return Ok(None);
        }
        let config = regular::read(&common.join("config"), CONFIG_LIMIT)?.unwrap_or_default();
        let config = Config::parse(&config);
        let format = format(&directory, &config)?;
        if config.is("core.bare") == Some(true) && directory == common {
            let message = format!("{} says that it has no work tree (core.bare)", directory.display());
            return Err(Error::input(message).with_hint("build a checkout, such as `git worktree add` makes"));
        }
        Ok(Some(GitRepository { work_tree: work_tree.to_owned(), directory, common, config, format }))
    }

    /// A repository that anybody could have put above a directory of others, as into `/tmp`, is not believed: it is to be
    /// the user's, root's, or that of the owner of the directory itself.
    fn check_owner(&self, owner_within: u32) -> Result<()> {
        for path in [&self.work_tree.join(".git"), &self.directory, &self.common] {
            let owner = fs::symlink_metadata(path).map_err(|source| Error::io("read", path, source))?.uid();
            let is_that_within = owner == owner_within && (owner != NOBODY || has_all_owners());
            if owner != geteuid().as_raw() && owner != 0 && !is_that_within {
                let message = format!("{} belongs to another user ({owner})", path.display());
                return Err(Error::input(message)
                    .with_hint("build as its owner, or move what is built to where nobody else may write"));
            }
        }
        Ok(())
    }

    /// Returns the commit that is checked out, and the branch if it is one that is; none before the first commit.
    pub fn head(&self) -> Result<Option<(ObjectId, Option<String>)>> {
        let Some(first) = self.reference("HEAD")? else { return Ok(None) };
        let branch = match &first {
            GitReference::Symbolic(name) => name.strip_prefix("refs/heads/").map(str::to_owned),
            GitReference::Object(_) => None,
        };
        Ok(self.follow(first)?.map(|commit| (commit, branch)))
    }

    /// Returns the branch that the remote calls its default one; none if that is not known.
    pub fn default_branch(&self) -> Result<Option<String>> {
        let Some(GitReference::Symbolic(name)) = self.reference("refs/remotes/origin/HEAD")? else { return Ok(None) };
        Ok(name.strip_prefix("refs/remotes/origin/").map(str::to_owned))
    }

    fn follow(&self, mut reference: GitReference) -> Result<Option<ObjectId>> {
        for _ in 0..REFERENCE_DEPTH {
            let name = match reference {
                GitReference::Object(id) => return Ok(Some(id)),
                GitReference::Symbolic(name) => name,
            };
            match self.reference(&name)? {
                Some(next) => reference = next,
                None => return Ok(None),
            }
        }
        Err(Error::input(format!("{}: its references lead to each other", self.directory.display())))
    }

    fn reference(&self, name: &str) -> Result<Option<GitReference>> {
        for directory in [&self.directory, &self.common] {
            let path = directory.join(name);
            // Old versions of git make HEAD a link, which may lead to where nothing is yet.
            if let Ok(target) = fs::read_link(&path)
                && let Some(target) = target.to_str().filter(|target| is_reference(target))
            {
                return Ok(Some(GitReference::Symbolic(target.to_owned())));
            }
            // A branch may have been called as the directory of others is now.
            if path.is_dir() {
                continue;
            }
            let Some(text) = regular::read(&path, SHORT)? else { continue };
            let text = String::from_utf8_lossy(&text);
            let found = match text.strip_prefix("ref:").map(str::trim) {
                Some(target) => is_reference(target).then(|| GitReference::Symbolic(target.to_owned())),
                None => text.split_whitespace().next().and_then(|id| self.format.parse(id)).map(GitReference::Object),
            };
            return found.map(Some).ok_or_else(|| Error::input(format!("{} is not a reference", path.display())));
        }
        self.packed(name)
    }

    fn packed(&self, name: &str) -> Result<Option<GitReference>> {
        let path = self.common.join("packed-refs");
        let Some(file) = regular::open(&path)? else { return Ok(None) };
        let found = find_packed(&file, name).map_err(|source| Error::io("read", &path, source))?;
        Ok(found.and_then(|id| self.format.parse(&id)).map(GitReference::Object))
    }
}

enum GitReference {
    Symbolic(String),
    Object(ObjectId),
}

/// `ID SPACE NAME`, a line each, beside comments and what annotated tags stand for.
fn find_packed(file: &File, name: &str) -> std::io::Result<Option<String>> {
    let mut lines = BufReader::with_capacity(1 << 16, file.take(PACKED_REFERENCES_LIMIT));
    let mut line = Vec::new();
    while lines.by_ref().take(SHORT).read_until(b'\n', &mut line)? > 0 {
        let text = line.trim_ascii_end();
        if let Some(id) = text.strip_suffix(name.as_bytes()).and_then(|before| before.strip_suffix(b" ")) {
            return Ok(Some(String::from_utf8_lossy(id).into_owned()));
        }
        line.clear();
    }
    Ok(None)
}

/// A name below `refs/` that leads to nowhere else.
fn is_reference(name: &str) -> bool {
    name.starts_with("refs/")
        && !name.contains('\0')
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// Returns where a file `.git` says that the repository is.
fn pointed_to(file: &Path, work_tree: &Path) -> Result<PathBuf> {
    let text = regular::read(file, SHORT)?.unwrap_or_default();
    let target = text.strip_prefix(b"gitdir:").map(<[u8]>::trim_ascii).filter(|target| !target.is_empty());
    let target = target.ok_or_else(|| Error::input(format!("{} names no repository", file.display())))?;
    let directory = work_tree.join(path(target));
    match directory.is_dir() {
        true => Ok(directory),
        false => Err(Error::not_found(format!("{} names a repository that is not there", file.display()))),
    }
}

/// Refuses what is of a format that is not read here.
fn format(directory: &Path, config: &Config) -> Result<ObjectFormat> {
    let refused = |what: &str| {
        let message = format!("{} {what}, which is not supported here", directory.display());
        Err(Error::input(message).with_hint("set them with --label and --timestamp, if they matter"))
    };
    let version = config.get("core.repositoryformatversion").unwrap_or("0");
    if !matches!(version, "" | "0" | "1") {
        return refused("has another format than 0 or 1");
    }
    if config.get("extensions.refstorage").is_some_and(|storage| !storage.eq_ignore_ascii_case("files")) {
        return refused("keeps its references in a reftable");
    }
    match config.get("extensions.objectformat").map(str::to_ascii_lowercase).as_deref() {
        None | Some("sha1") => Ok(ObjectFormat::Sha1),
        Some("sha256") => Ok(ObjectFormat::Sha256),
        Some(_) => refused("names its objects by another digest than SHA-1 and SHA-256"),
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
