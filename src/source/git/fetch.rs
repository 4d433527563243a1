//! The files of one commit of a repository elsewhere, as BuildKit fetches them: by the `git` program, shallow, with its
//! submodules. Nothing that the repository or a git configuration says is run, and nobody is asked for a password.

use std::fs;
use std::path::{Path, PathBuf};

use super::address::Address;
use super::program::{Git, GitCredentials, complaint, failed};
use super::submodules;
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::plan::Branch;
use crate::plan::{Checkout, GitUrl, label};
use crate::progress::{self, Fetch, Progress};
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;

/// The files of one commit.
#[derive(Debug)]
pub struct Fetched {
    /// The repository's root, or the directory in it that was asked for. It goes with this value.
    pub root: PathBuf,
    /// The commit, with its time and where it comes from.
    pub checkout: Checkout,
    /// The directory that the root lies in; it is removed with this value.
    pub directory: PendingDirectory,
    named: NamedObject,
}

/// The objects that the name that was asked for stands for, as digests in hexadecimal.
#[derive(Debug)]
struct NamedObject {
    commit: String,
    /// The commit, or the annotated tag that leads to it.
    object: String,
}

/// The reference under which a commit is kept that is neither a branch nor a tag.
const WANTED: &str = "refs/ocibake/wanted";

/// Brings the files of the commit that `url` names into a directory of the store. `.git` is left out unless the URL or
/// `keep_git_dir` asks for it, which only the whole repository can have. `checksum` and that of the URL are
/// what the commit (or an annotated tag) must begin with: see [`Fetched::check`]. Submodules are fetched unless the URL says no.
///
/// It fails once `stop` is ended.
pub fn fetch(
    url: &GitUrl,
    keep_git_dir: bool,
    checksum: Option<&str>,
    store: &LocalStore,
    stop: &Stop,
    progress: Progress<'_>,
) -> Result<Fetched> {
    let mut telling = Fetch::begin(progress, progress::Fetched::Repository(&url.to_string()), None);
    let directory = store.directory()?;
    let work_tree = directory.path().join("context");
    fs::create_dir(&work_tree).map_err(|source| Error::io("create", &work_tree, source))?;
    let keeps = url.keep_git_dir.unwrap_or(keep_git_dir) && url.subdirectory.is_none();
    let git_dir = if keeps { work_tree.join(".git") } else { directory.path().join("git") };
    let credentials = GitCredentials::new(directory.path());
    let git = Git { git_dir: &git_dir, work_tree: &work_tree, credentials: &credentials, stop };
    let repository = FetchRepository { git, url, git_dir: &git_dir };
    repository.begin()?;
    let wanted = repository.resolve()?;
    let named = repository.fetch(&wanted)?;
    named.check(url, checksum)?;
    repository.check_out(&named.commit)?;
    if url.submodules.unwrap_or(true) && submodules::fetch(&repository.git, url)? && !keeps {
        remove_git_files(&work_tree)?;
    }
    let checkout = repository.describe(named.commit.clone(), wanted)?;
    if keeps {
        repository.tidy()?;
    }
    let root = below(&work_tree, url)?;
    telling.complete();
    Ok(Fetched { root, checkout, directory, named })
}

impl Fetched {
    /// Fails unless the commit (or the annotated tag) begins with `checksum` and with that of `url`, as far as there are any.
    pub fn check(&self, url: &GitUrl, checksum: Option<&str>) -> Result<()> {
        self.named.check(url, checksum)
    }
}

impl NamedObject {
    fn check(&self, url: &GitUrl, checksum: Option<&str>) -> Result<()> {
        let NamedObject { commit, object } = self;
        for expected in [checksum, url.checksum.as_deref()].into_iter().flatten().map(str::to_ascii_lowercase) {
            if !commit.starts_with(&expected) && !object.starts_with(&expected) {
                return Err(Error::integrity(format!("{url} is the commit {commit}, not {expected}"))
                    .with_hint("if it is meant to have moved, set the checksum to the new commit"));
            }
        }
        Ok(())
    }
}

struct FetchRepository<'a> {
    git: Git<'a>,
    url: &'a GitUrl,
    git_dir: &'a Path,
}

/// The reference or commit that a name stands for on the other side.
struct WantedReference {
    /// A reference in full, or a commit.
    source: String,
    /// The reference under which it is kept here.
    local: String,
    default_branch: Option<String>,
}

impl FetchRepository<'_> {
    /// An empty repository that knows the remote.
    fn begin(&self) -> Result<()> {
        // A later git may have another default.
        let format = ["init", "--quiet", "--template=", "--object-format=sha1"];
        self.run(&format, "set up a repository for")?;
        let Address { url, credential } = Address::of(&self.url.remote);
        credential.iter().try_for_each(|line| self.git.credentials.add(line))?;
        let config = self.git_dir.join("config");
        let failed = |source| Error::io("write", &config, source);
        let known = fs::read_to_string(&config).map_err(failed)?;
        let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
        fs::write(&config, format!("{known}[remote \"origin\"]\n\turl = \"{quoted}\"\n")).map_err(failed)
    }

    /// Returns what the URL's name stands for: of a branch and a tag with one name the branch is meant, as git itself
    /// has it.
    fn resolve(&self) -> Result<WantedReference> {
        let Some(name) = &self.url.reference else {
            let answer = self.run(&["ls-remote", "--symref", "origin", "HEAD"], "list")?;
            let branch = answer.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
            let Some(branch) = branch else {
                return Err(Error::not_found(format!("{}: it has no default branch", self.url))
                    .with_hint("name a branch, a tag or a commit after a `#`"));
            };
            let default_branch = branch.strip_prefix("refs/heads/").map(str::to_owned);
            return Ok(WantedReference { source: branch.to_owned(), local: branch.to_owned(), default_branch });
        };
        let is_hexadecimal = name.bytes().all(|c| c.is_ascii_hexdigit());
        if is_hexadecimal && matches!(name.len(), 40 | 64) {
            let (source, local) = (name.to_ascii_lowercase(), WANTED.to_owned());
            return Ok(WantedReference { source, local, default_branch: None });
        }
        let short = |space: &str| format!("{space}{}", name.strip_prefix(space).unwrap_or(name));
        let candidates = [short("refs/heads/"), short("refs/tags/"), short("refs/")];
        let [head, tag, other] = &candidates;
        let answer = self.run(&["ls-remote", "--symref", "origin", "HEAD", head, tag, other], "list")?;
        let has = |candidate: &&String| answer.lines().any(|line| line.split('\t').nth(1) == Some(candidate));
        let Some(found) = candidates.iter().find(has) else {
            let error = Error::not_found(format!("{}: it has no branch and no tag `{name}`", self.url));
            return Err(if is_hexadecimal && name.len() >= 7 {
                error.with_hint("a commit is written in full, with 40 digits")
            } else {
                error.with_hint(format!("git ls-remote {} lists those that it has", self.url_alone()))
            });
        };
        let is_kept = found.starts_with("refs/heads/") || found.starts_with("refs/tags/");
        let default = answer.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        Ok(WantedReference {
            source: found.clone(),
            local: if is_kept { found.clone() } else { WANTED.to_owned() },
            default_branch: default.map(str::to_owned),
        })
    }

    /// Fetches what is `wanted`, and returns its names once it is here.
    fn fetch(&self, wanted: &WantedReference) -> Result<NamedObject> {
        let WantedReference { source, local, .. } = wanted;
        let refspec = format!("+{source}:{local}");
        let common = ["fetch", "--quiet", "--no-tags", "--update-head-ok", "--no-recurse-submodules"];
        let with = |more: &[&str]| self.git.run(&[&common[..], more].concat());
        let mut output = with(&["--depth=1", "origin", &refspec])?;
        // Servers of plain files have no shallow clones.
        if !output.status.success() && complaint(&output, self.url).contains("shallow") {
            output = with(&["origin", &refspec])?;
        }
        let mut found = local.as_str();
        if !output.status.success() && local == WANTED && is_unadvertised(&complaint(&output, self.url)) {
            output = with(&["origin", "+refs/heads/*:refs/ocibake/heads/*", "+refs/tags/*:refs/ocibake/tags/*"])?;
            found = source;
        }
        if !output.status.success() {
            return Err(self.failed("fetch", &complaint(&output, self.url)));
        }
        let verify = |name: &str| self.git.run(&["rev-parse", "--verify", "--quiet", name]);
        let commit = verify(&format!("{found}^{{commit}}"))?;
        if !commit.status.success() {
            return Err(Error::not_found(format!("{}: it has no such commit", self.url)));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(NamedObject { commit: text(&commit.stdout), object: text(&verify(found)?.stdout) })
    }

    fn check_out(&self, revision: &str) -> Result<()> {
        self.run(&["checkout", "--quiet", "--force", "--detach", revision, "--"], "check out").map(drop)
    }

    fn describe(&self, revision: String, wanted: WantedReference) -> Result<Checkout> {
        let time = self.run(&["log", "-1", "--no-show-signature", "--format=%ct", &revision], "read")?;
        let commit_time =
            time.parse().map_err(|_| Error::input(format!("git gave `{time}` as the time of {revision}")))?;
        let branch = wanted.source.strip_prefix("refs/heads/").map(|name| Branch {
            name: name.to_owned(),
            commit: revision.clone(),
            is_default: wanted.default_branch.as_deref() == Some(name),
        });
        Ok(Checkout {
            source: label::source(&self.url.remote),
            dirty: false,
            commit_time: Some(commit_time),
            branch,
            default_branch: wanted.default_branch,
            revision,
        })
    }

    /// Removes all but what any other fetch of the same leaves; no password stays.
    fn tidy(&self) -> Result<()> {
        let remote = self.url_alone();
        self.run(&["remote", "set-url", "origin", &remote], "write the address of")?;
        for leftover in ["FETCH_HEAD", "ORIG_HEAD"] {
            let path = self.git_dir.join(leftover);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| Error::io("remove", &path, source))?;
            }
        }
        Ok(())
    }

    fn url_alone(&self) -> String {
        GitUrl { reference: None, subdirectory: None, ..self.url.clone() }.to_string()
    }

    /// Returns what git says. `action` completes "cannot …".
    fn run(&self, arguments: &[&str], action: &str) -> Result<String> {
        self.git.answer(arguments, action, self.url)
    }

    fn failed(&self, action: &str, complaint: &str) -> Error {
        failed(action, self.url, complaint)
    }
}

/// Servers need not give commits that no reference leads to at once.
fn is_unadvertised(complaint: &str) -> bool {
    ["not our ref", "unadvertised object", "remote ref", "does not allow"].iter().any(|says| complaint.contains(says))
}

/// Removes the files in which submodules note where their repository is. No commit can have a file of that name.
fn remove_git_files(work_tree: &Path) -> Result<()> {
    let failed = |path: &Path, source| Error::io("remove", path, source);
    let mut left = vec![work_tree.to_owned()];
    while let Some(directory) = left.pop() {
        for item in fs::read_dir(&directory).map_err(|source| failed(&directory, source))? {
            let item = item.map_err(|source| failed(&directory, source))?;
            let path = item.path();
            let kind = item.file_type().map_err(|source| failed(&path, source))?;
            if kind.is_dir() {
                left.push(path);
            } else if item.file_name() == ".git" {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
    }
    Ok(())
}

/// The directory that is wanted. A link on the way may lead anywhere within the repository.
fn below(work_tree: &Path, url: &GitUrl) -> Result<PathBuf> {
    let Some(below) = &url.subdirectory else { return Ok(work_tree.to_owned()) };
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| Error::io("read", path, source));
    let root = real(work_tree)?;
    match fs::canonicalize(root.join(below)) {
        Ok(path) if !path.starts_with(&root) => {
            Err(Error::input(format!("{url}: the directory `{below}` is a link that leads out of it")))
        }
        Ok(path) if path.is_dir() => Ok(path),
        _ => Err(Error::not_found(format!("{url}: it has no directory `{below}`"))),
    }
}
