use std::collections::HashMap;

use rayon::ThreadPool;

use crate::build::Options;
use crate::build::contexts::Walked;
use crate::build::files::Files;
use crate::error::Result;
use crate::oci::Digest;
use crate::plan::{Context, GitUrl, Item};
use crate::source::download::{Downloaded, download};
use crate::source::git::{Fetched, fetch};

/// What `ADD` fetches from elsewhere, each once.
pub struct Sources<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    downloads: HashMap<(String, Option<Digest>), Downloaded>,
    repositories: HashMap<String, Repository>,
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
                Some(Digest::of(format!("{name}\n{digest} {modified}").as_bytes()))
            }
            Item::Git { url, keep_git_dir, checksum } => {
                let repository = self.fetched(url, *keep_git_dir, checksum.as_deref())?;
                Some(Digest::of(repository.fetched.checkout.revision.as_bytes()))
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
        let key = format!("{:?}", (url, keep_git_dir, checksum));
        if !self.repositories.contains_key(&key) {
            let fetched = fetch(url, keep_git_dir, checksum, self.options.store)?;
            let context = Context { title: url.to_string(), root: fetched.root.clone(), ignore: Vec::new() };
            let files = Walked::new(&context, std::time::SystemTime::now(), self.pool)?.files;
            self.repositories.insert(key.clone(), Repository { fetched, files });
        }
        Ok(&self.repositories[&key])
    }
}
