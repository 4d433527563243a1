//! Build contexts, as `docker build` takes them: wherever they are, they become a directory.

mod dockerfile;
mod text;

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::archive::{self, HEAD, is_archive};
use super::download::download;
use super::git::{self, Fetched};
use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;
use crate::plan::{Checkout, ContextPlace, GitUrl, is_http, shown_url};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;
use crate::tree::{Ignore, newest, open_file, real_within, walk_all};

pub use dockerfile::{DockerfilePlace, DockerfileSource};
pub use text::{TEXT_LIMIT, TextFile};

/// The place of a build's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextLocation {
    /// `-`: a tar, or the text of a Dockerfile.
    StandardInput,
    /// A directory of this machine.
    Directory(PathBuf),
    /// A tar on this machine.
    Archive(PathBuf),
    /// A tar, or the text of a Dockerfile.
    Http(String),
    /// A repository, or a directory of it; it is fetched.
    Git(GitUrl),
}

/// The means of opening a context.
pub struct ContextAccess<'a> {
    /// The store that remembers downloads.
    pub store: &'a LocalStore,
    /// The client that downloads.
    pub client: &'a OnDemand,
    /// Told of what is fetched, and of warnings.
    pub progress: Progress<'a>,
    /// Leave `.git` in a git context (`BUILDKIT_CONTEXT_KEEP_GIT_DIR`).
    pub keep_git_dir: bool,
}

/// A context as a directory. If it was brought here for the build, it goes with this value.
#[derive(Debug)]
pub struct OpenContext {
    /// The directory that holds the files.
    pub root: PathBuf,
    /// The text of the Dockerfile that is all that came.
    pub dockerfile: Option<TextFile>,
    /// The commit that it is, for one from a git repository.
    pub checkout: Option<Checkout>,
    /// `Last-Modified`, in seconds since 1970, of one that was downloaded.
    modified: Option<i64>,
    /// The context is a directory of the user's, to which `.dockerignore` applies; BuildKit leaves whatever else it
    /// unpacks whole.
    pub is_local: bool,
    /// The context was read from the standard input, where nothing else can come from any more.
    has_input: bool,
    _directory: Option<PendingDirectory>,
}

/// The name that BuildKit gives a downloaded file that is not an archive, in the directory that it makes of it.
const DOWNLOADED: &str = "context";

impl FromStr for ContextLocation {
    type Err = Error;

    /// A directory that is there goes before a URL.
    fn from_str(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if text == "-" {
            return Ok(ContextLocation::StandardInput);
        }
        if path.is_dir() {
            return Ok(ContextLocation::Directory(path.to_owned()));
        }
        if let Some(url) = GitUrl::of_context(text)? {
            return Ok(ContextLocation::Git(url));
        }
        if is_http(text) {
            return Ok(ContextLocation::Http(text.to_owned()));
        }
        if path.is_file() {
            return Ok(ContextLocation::Archive(path.to_owned()));
        }
        Err(Error::not_found(format!("there is no context {text}")).with_hint(
            "a context is a directory, a tar, the URL of a tar, a git repository \
                (https://HOST/PATH.git#BRANCH:DIRECTORY), or - for the standard input",
        ))
    }
}

impl ContextLocation {
    /// Opens the context, and brings it here if it is elsewhere. Fails if it cannot be read or fetched, and for an
    /// archive that is malformed. `input` is read for [`StandardInput`](Self::StandardInput) alone.
    pub fn open(&self, access: &ContextAccess<'_>, input: &mut dyn Read) -> Result<OpenContext> {
        match self {
            ContextLocation::StandardInput => of_input(input, access),
            ContextLocation::Directory(path) => Ok(OpenContext::local(path)),
            ContextLocation::Archive(path) => of_archive(path, access),
            ContextLocation::Http(url) => {
                let (context, file) = of_url(url, access)?;
                let dockerfile = file.map(|path| text::read_named(&path, &shown_url(url))).transpose()?;
                Ok(OpenContext { dockerfile, ..context })
            }
            ContextLocation::Git(url) => of_git(url, access),
        }
    }
}

impl OpenContext {
    /// Opens the context behind a name of `--build-context`; none if that is an image ([`ContextPlace::Image`],
    /// [`ContextPlace::Layout`], [`ContextPlace::Target`]). To one that is local its own `.dockerignore` applies: see
    /// [`DockerfileSource::ignore`]. Fails as [`ContextLocation::open`] does.
    pub fn named(place: &ContextPlace, access: &ContextAccess<'_>) -> Result<Option<OpenContext>> {
        match place {
            ContextPlace::Image(_) | ContextPlace::Layout { .. } | ContextPlace::Target(_) => Ok(None),
            ContextPlace::Directory(path) if path.is_dir() => Ok(Some(OpenContext::local(path))),
            ContextPlace::Directory(path) => {
                Err(Error::not_found(format!("there is no directory {} to use as a context", path.display()))
                    .with_hint("an image is written docker-image://NAME, and a layout oci-layout://DIRECTORY"))
            }
            // One that the URL does not ask for comes without .git: BUILDKIT_CONTEXT_KEEP_GIT_DIR is about the main one.
            ContextPlace::Git(url) => of_git(url, &ContextAccess { keep_git_dir: false, ..*access }).map(Some),
            ContextPlace::Http(url) => of_url(url, access).map(|(context, _)| Some(context)),
        }
    }

    /// Opens the file that the context has at `path`; none if nothing is there. Links are followed within the context. What
    /// leads out of it, and what is not a file, is an error that says so.
    pub fn file(&self, path: &Path) -> Result<Option<File>> {
        let shown = self.shown(path);
        self.find(path)?.map(|real| open_file(&real, &shown)).transpose()
    }

    /// Opens a file that stands on the command line, or beside one that does: what lies in the context as
    /// one of its files, any other wherever it leads.
    pub fn file_beside(&self, path: &Path) -> Result<Option<File>> {
        if let Some(inside) = self.place_of(path) {
            return self.file(&inside);
        }
        match fs::canonicalize(path) {
            Ok(real) => open_file(&real, &path.display()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io("read", path, source)),
        }
    }

    /// Returns whether the context has anything at `path`.
    pub fn has(&self, path: &Path) -> Result<bool> {
        self.find(path).map(|found| found.is_some())
    }

    /// Returns the name in errors of the file at `path` in the context: without the place to which a context was
    /// brought.
    pub fn shown(&self, path: &Path) -> impl Display {
        let is_here = self.root == Path::new(".");
        let shown = if self.is_local && !is_here { self.root.join(path) } else { path.to_owned() };
        shown.display().to_string()
    }

    /// The real path of what is at `path`; none if nothing is.
    fn find(&self, path: &Path) -> Result<Option<PathBuf>> {
        let root = fs::canonicalize(&self.root).map_err(|source| Error::io("read", &self.root, source))?;
        match real_within(&root, path, &self.shown(path)) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Returns where a path of this machine lies in the context, if its directory does.
    fn place_of(&self, path: &Path) -> Option<PathBuf> {
        let parent = path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent })?;
        let (parent, root) = (fs::canonicalize(parent).ok()?, fs::canonicalize(&self.root).ok()?);
        Some(parent.strip_prefix(root).ok()?.join(path.file_name()?))
    }

    /// Returns when it was made, in seconds since 1970: the time of the commit, `Last-Modified`, or that of the newest
    /// file in an archive. None for a directory of the user's, whose times say nothing, and where there is no such
    /// time.
    pub fn time(&self) -> Result<Option<i64>> {
        if let Some(checkout) = self.checkout.as_ref() {
            return Ok(checkout.commit_time);
        }
        if self.is_local || self.dockerfile.is_some() || self.modified.is_some() {
            return Ok(self.modified);
        }
        let (entries, _) = walk_all(&self.root, &Ignore::new([])?)?;
        Ok(newest(&entries))
    }

    /// Opens a directory of the user's.
    pub fn local(path: &Path) -> Self {
        let root = path.to_owned();
        OpenContext {
            root,
            dockerfile: None,
            checkout: None,
            modified: None,
            is_local: true,
            has_input: false,
            _directory: None,
        }
    }

    /// An empty directory, to be filled.
    fn brought(store: &LocalStore) -> Result<Self> {
        let directory = store.directory()?;
        let root = directory.path().join("context");
        fs::create_dir(&root).map_err(|source| Error::io("create", &root, source))?;
        let plain = Permissions::from_mode(0o755);
        fs::set_permissions(&root, plain).map_err(|source| Error::io("set the mode of", &root, source))?;
        let _directory = Some(directory);
        Ok(OpenContext {
            root,
            dockerfile: None,
            checkout: None,
            modified: None,
            is_local: false,
            has_input: false,
            _directory,
        })
    }

    fn unpacked(raw: impl Read, size: u64, name: &str, access: &ContextAccess<'_>) -> Result<Self> {
        let context = Self::brought(access.store)?;
        archive::unpack(raw, size, name, &context.root, access.store, access.progress)?;
        Ok(context)
    }
}

fn of_input(input: &mut dyn Read, access: &ContextAccess<'_>) -> Result<OpenContext> {
    let name = "the standard input";
    let head = head(&mut *input, name)?;
    let is_archive = is_archive(&head);
    let all = io::Cursor::new(head).chain(input);
    let context = if is_archive {
        OpenContext::unpacked(all, 0, name, access)?
    } else {
        let dockerfile = Some(text::read(all, "Dockerfile")?);
        OpenContext { dockerfile, ..OpenContext::brought(access.store)? }
    };
    Ok(OpenContext { has_input: true, ..context })
}

fn of_archive(path: &Path, access: &ContextAccess<'_>) -> Result<OpenContext> {
    let failed = |source| Error::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    OpenContext::unpacked(file, size, &path.display().to_string(), access)
}

/// Opens what is at `url`: what is not an archive is alone in its directory, and its path is told.
fn of_url(url: &str, access: &ContextAccess<'_>) -> Result<(OpenContext, Option<PathBuf>)> {
    let name = shown_url(url);
    let downloaded = download(url, None, access.store, access.client, &Stop::default(), access.progress)?;
    let (content, modified) = (&downloaded.content, downloaded.last_modified());
    if is_archive(&head(content.reader(), &name)?) {
        let context = OpenContext::unpacked(content.reader(), content.size(), &name, access)?;
        return Ok((OpenContext { modified, ..context }, None));
    }
    let context = OpenContext { modified, ..OpenContext::brought(access.store)? };
    let path = context.root.join(DOWNLOADED);
    let mut file = File::create_new(&path).map_err(|source| Error::io("create", &path, source))?;
    io::copy(&mut BufReader::with_capacity(1 << 18, content.reader()), &mut file)
        .map_err(|source| Error::from_read("write", &path, source))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))
        .map_err(|source| Error::io("set the mode of", &path, source))?;
    Ok((context, Some(path)))
}

fn of_git(url: &GitUrl, access: &ContextAccess<'_>) -> Result<OpenContext> {
    let Fetched { root, checkout, directory, .. } =
        git::fetch(url, access.keep_git_dir, None, access.store, &Stop::default(), access.progress)?;
    let (checkout, _directory) = (Some(checkout), Some(directory));
    Ok(OpenContext { root, dockerfile: None, checkout, modified: None, is_local: false, has_input: false, _directory })
}

fn head(content: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let read = content.take(HEAD as u64).read_to_end(&mut head);
    read.map_err(|source| Error::from_read("read", name, source))?;
    Ok(head)
}
