//! Bake files from elsewhere: of a git repository, of an archive, or one alone behind a URL.

use std::path::Path;

use crate::cli::environment::Environment;
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::plan::Spec;
use crate::plan::bake::{BakeFile, USUAL_FILES};
use crate::plan::shown_url;
use crate::progress::Progress;
use crate::source::context::{ContextAccess, ContextLocation, OpenContext};
use crate::store::LocalStore;

/// The largest file, in bytes, as with buildx.
const LARGEST: u64 = 2_000_000;

/// The place elsewhere that files came from.
pub struct RemoteFiles {
    /// What the context `.` of a target stands for; empty for an archive.
    context: String,
    /// What came, unless it was a file alone: contexts that are paths lie in it.
    pub root: Option<OpenContext>,
}

impl RemoteFiles {
    /// Returns what the context `.` of a target stands for.
    pub fn context(&self) -> &str {
        &self.context
    }
}

/// Fetches what is at `url`, and reads the files `names` of it, or those that have a usual name.
pub fn read(
    url: &str,
    names: &[&String],
    environment: &Environment,
    progress: Progress<'_>,
) -> Result<(Vec<BakeFile>, RemoteFiles)> {
    let store = LocalStore::open(environment.working_store()?)?;
    let client = environment.client(false, 0);
    let access = ContextAccess { store: &store, client: &client, progress, keep_git_dir: false };
    let location: ContextLocation = url.parse()?;
    let opened = location.open(&access, &mut std::io::empty())?;
    if let Some(file) = &opened.dockerfile {
        // What is not an archive is a bake file, whose name is the URL.
        if file.text.len() as u64 > LARGEST {
            return Err(Error::input(format!(
                "{} is larger than {LARGEST} bytes, too large for a bake file",
                shown_url(url)
            )));
        }
        let file = BakeFile { name: shown_url(url), text: file.text.clone(), is_local: false };
        return Ok((vec![file], RemoteFiles { context: ".".to_owned(), root: None }));
    }
    let mut files = Vec::new();
    let wanted: Vec<&str> = match names.is_empty() {
        true => USUAL_FILES.to_vec(),
        false => names.iter().map(|name| name.as_str()).collect(),
    };
    // As on this machine, where there is none of these.
    let has_usual = wanted.iter().try_fold(false, |has, name| Ok::<_, Error>(has || opened.has(Path::new(name))?))?;
    let table = Some(Spec::FILE).filter(|_| names.is_empty() && !has_usual);
    for name in wanted.into_iter().chain(table) {
        match opened.file(Path::new(name))? {
            Some(file) => {
                let text = read_text(file, name, LARGEST, "bake file")?;
                files.push(BakeFile { name: name.to_owned(), text, is_local: false });
            }
            None if names.is_empty() => {}
            None => return Err(Error::not_found(format!("there is no file {name} in {}", shown_url(url)))),
        }
    }
    let context = if matches!(location, ContextLocation::Git(_)) { url } else { "" };
    Ok((files, RemoteFiles { context: context.to_owned(), root: Some(opened) }))
}
