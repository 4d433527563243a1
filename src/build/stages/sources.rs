use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rayon::ThreadPool;

use crate::build::Options;
use crate::build::contexts::Walked;
use crate::error::Result;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{Context, GitUrl, Item};
use crate::source::download::{Downloaded, download};
use crate::source::git::{Fetched, fetch};
use crate::tree::Files;

/// What `ADD` fetches from elsewhere, each once.
pub struct Sources<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    downloads: HashMap<(String, Option<Digest>), Downloaded>,
    repositories: HashMap<Request, Repository>,
}

/// All that decides about what is fetched of a repository. Checksums do not: they are held against it each time.
#[derive(PartialEq, Eq, Hash)]
struct Request {
    url: GitUrl,
    keep_git_dir: bool,
}

struct Repository {
    /// What has the files goes with it.
    fetched: Fetched,
    files: Files,
}

impl<'a> Sources<'a> {
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        Sources { options, pool, downloads: HashMap::new(), repositories: HashMap::new() }
    }

    /// What `item` stands for now; none if it comes from nowhere else.
    pub fn identity(&mut self, item: &Item) -> Result<Option<Digest>> {
        Ok(match item {
            Item::Pattern(_) | Item::Text { .. } => None,
            Item::Url { url, checksum } => {
                let Downloaded { name, digest, modified, .. } = self.downloaded(url, *checksum)?;
                let file = KeyBuilder::new("file").part("name", &name).part("content", &digest);
                Some(file.part("modified", &modified).finish())
            }
            Item::Git { url, keep_git_dir, checksum } => {
                let repository = self.fetched(url, *keep_git_dir, checksum.as_deref())?;
                Some(KeyBuilder::new("commit").part("revision", &repository.fetched.checkout.revision).finish())
            }
        })
    }

    pub fn downloaded(&mut self, url: &str, checksum: Option<Digest>) -> Result<Downloaded> {
        let key = (url.to_owned(), checksum);
        if let Some(downloaded) = self.downloads.get(&key) {
            return Ok(downloaded.clone());
        }
        let Options { store, client, progress, .. } = self.options;
        let downloaded = download(url, checksum, store, client, *progress)?;
        self.downloads.insert(key, downloaded.clone());
        Ok(downloaded)
    }

    /// The files of a commit, all of root.
    pub fn repository(&mut self, url: &GitUrl, keep_git_dir: bool, checksum: Option<&str>) -> Result<Files> {
        self.fetched(url, keep_git_dir, checksum).map(|repository| repository.files.clone())
    }

    fn fetched(&mut self, url: &GitUrl, keep_git_dir: bool, checksum: Option<&str>) -> Result<&Repository> {
        let request = Request { url: GitUrl { checksum: None, ..url.clone() }, keep_git_dir };
        let repository = match self.repositories.entry(request) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let fetched = fetch(url, keep_git_dir, checksum, self.options.store)?;
                let context = Context { title: url.to_string(), root: fetched.root.clone(), ignore: Vec::new() };
                let files = Walked::new(&context, std::time::SystemTime::now(), self.pool)?.files;
                place.insert(Repository { fetched, files })
            }
        };
        repository.fetched.check(url, checksum)?;
        Ok(repository)
    }
}
