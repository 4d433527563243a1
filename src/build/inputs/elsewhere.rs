//! What `ADD` fetches from elsewhere.

use std::sync::Arc;
use std::time::SystemTime;

use rayon::ThreadPool;

use super::contexts::Walked;
use crate::build::options::Options;
use crate::error::Result;
use crate::net::Stop;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Context, CopyItem, GitUrl};
use crate::source::download::{Downloaded, download};
use crate::source::git::{Fetched, fetch};
use crate::sync::Memo;
use crate::tree::Files;

/// The things that `ADD` fetches from elsewhere, each once.
pub struct Elsewhere<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    stop: Stop,
    downloads: Memo<(String, Option<Digest>), Downloaded>,
    repositories: Memo<GitRequest, Arc<FetchedRepository>>,
}

/// All that decides about what is fetched of a repository. Checksums do not: they are held against it each time.
#[derive(PartialEq, Eq, Hash)]
struct GitRequest {
    url: GitUrl,
    keep_git_dir: bool,
}

struct FetchedRepository {
    /// The place that has the files goes with it.
    fetched: Fetched,
    files: Files,
}

impl<'a> Elsewhere<'a> {
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool, stop: Stop) -> Self {
        Elsewhere { options, pool, stop, downloads: Memo::default(), repositories: Memo::default() }
    }

    /// Returns what `item` stands for now; none if it comes from nowhere else.
    pub fn identity(&self, item: &CopyItem) -> Result<Option<Digest>> {
        Ok(match item {
            CopyItem::Pattern(_) | CopyItem::Text { .. } => None,
            CopyItem::Url { url, checksum } => {
                let Downloaded { name, digest, modified, .. } = self.downloaded(url, *checksum)?;
                let file = KeyBuilder::new("file").part("name", &name).part("content", &digest);
                Some(file.part("modified", &modified).finish())
            }
            CopyItem::Git { url, keep_git_dir, checksum } => {
                let repository = self.fetched(url, *keep_git_dir, checksum.as_deref())?;
                Some(KeyBuilder::new("commit").part("revision", &repository.fetched.checkout.revision).finish())
            }
        })
    }

    pub fn downloaded(&self, url: &str, checksum: Option<Digest>) -> Result<Downloaded> {
        self.downloads.get((url.to_owned(), checksum), || {
            let Options { store, client, progress, .. } = *self.options;
            download(url, checksum, store, client, &self.stop, progress)
        })
    }

    /// Returns the files of a commit, all of root.
    pub fn repository(&self, url: &GitUrl, keep_git_dir: bool, checksum: Option<&str>) -> Result<Files> {
        self.fetched(url, keep_git_dir, checksum).map(|repository| repository.files.clone())
    }

    fn fetched(&self, url: &GitUrl, keep_git_dir: bool, checksum: Option<&str>) -> Result<Arc<FetchedRepository>> {
        let request = GitRequest { url: GitUrl { checksum: None, ..url.clone() }, keep_git_dir };
        let repository = self.repositories.get(request, || {
            let Options { store, progress, .. } = *self.options;
            let fetched = fetch(url, keep_git_dir, checksum, store, &self.stop, progress)?;
            let context = Context { title: url.to_string(), ignore: Vec::new() };
            let files = Walked::new(&context, &fetched.root, SystemTime::now(), self.pool)?.files;
            Ok(Arc::new(FetchedRepository { fetched, files }))
        })?;
        repository.fetched.check(url, checksum)?;
        Ok(repository)
    }
}
