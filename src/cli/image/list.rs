//! `ocibake images`: the images that have names in the local store.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::row::{ImageRow, ListedImage, repository};
use crate::cli::environment::Environment;
use crate::cli::flags::prune::age;
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::print::{answer_json, answer_lines};
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::plan::quantity;
use crate::store::{LocalStore, NamedImage};
use crate::tree::Pattern;

/// List the images that have names in the local store, the newest first
#[derive(Debug, Args)]
pub struct ImageListArguments {
    /// Name to list with all its tags, or with one tag, or a pattern as in reference=PATTERN
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
    /// Accepted, as with docker: nothing is hidden
    #[arg(short, long, hide = true)]
    all: bool,
    /// Accepted, as with docker: platforms are shown anyway
    #[arg(long, hide = true)]
    tree: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// List only what reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME or dangling=BOOL says
    #[arg(short, long, value_name = "FILTER", value_parser = value::<Filter>)]
    filter: Vec<Filter>,
    /// Show each as a Go template says, such as '{{.Repository}}:{{.Tag}}', or 'table …', or json
    ///
    /// Fields are ID, Repository, Tag, Digest, CreatedSince, CreatedAt, Size and Platforms.
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Show whole IDs
    #[arg(long)]
    no_trunc: bool,
    /// Show only IDs
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["format", "quiet"])]
    json: bool,
}

/// A condition of `--filter`.
#[derive(Debug, Clone)]
enum Filter {
    Reference(String),
    Label(String, Option<String>),
    Before(String),
    Since(String),
    Until(Duration),
    Dangling(bool),
}

/// Answers with the images.
pub fn run(arguments: &ImageListArguments, environment: &Environment) -> Result<()> {
    let mut images: Vec<ListedImage> = Vec::new();
    if let Some(root) = environment.present_store() {
        let store = LocalStore::open(root)?;
        let is_pattern = arguments.name.as_ref().is_some_and(|name| name.contains(['*', '?', '[']));
        let pattern = arguments.name.as_deref().filter(|_| is_pattern).map(str::parse::<Pattern>).transpose();
        let pattern = pattern.map_err(Error::on_command_line)?;
        let name = arguments.name.as_deref().filter(|_| !is_pattern).map(str::parse::<Reference>).transpose();
        let name = name.map_err(Error::on_command_line)?;
        let conditions = arguments.filter.iter().map(|filter| Condition::of(filter, &store));
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        for image in store.names()? {
            let is_other = name.as_ref().is_some_and(|name| !is_named(&image, name));
            if is_other || pattern.as_ref().is_some_and(|pattern| !is_like(&image.name, pattern)) {
                continue;
            }
            let image = ListedImage::of(&store, image)?;
            if conditions.iter().all(|condition| condition.holds(&image)) {
                images.push(image);
            }
        }
    }
    images.sort_by_cached_key(|image| (Reverse(image.created), image.image.name.to_string()));
    let rows: Vec<ImageRow> = images.iter().map(|image| ImageRow::of(image, arguments.no_trunc)).collect();
    if arguments.json {
        return answer_json(&rows);
    }
    if arguments.quiet {
        let mut ids = HashSet::new();
        return answer_lines(rows.into_iter().map(|row| row.id).filter(|id| ids.insert(id.clone())));
    }
    let usual = || match arguments.digests {
        true => Format::table(&["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size", "Platforms"]),
        false => Format::table(&["Repository", "Tag", "ID", "CreatedSince", "Size", "Platforms"]),
    };
    answer_lines(arguments.format.clone().unwrap_or_else(usual).lines(&rows, &TITLES)?)
}

/// The titles of columns that are not the names of the fields.
const TITLES: [(&str, &str); 3] = [("ID", "IMAGE ID"), ("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT")];

fn is_named(image: &NamedImage, name: &Reference) -> bool {
    image.name.name() == name.name()
        && name.tag().is_none_or(|tag| image.name.tag() == Some(tag))
        && name.digest().is_none_or(|digest| image.root.digest == digest)
}

/// What a filter asks of each image, once what it names was looked up.
enum Condition<'a> {
    Reference(Pattern),
    Label(&'a str, Option<&'a str>),
    /// It was made before this time, in seconds since 1970.
    Before(u64),
    Since(u64),
    /// It has been there for at least so long.
    Until(Duration),
    Named(bool),
}

impl<'a> Condition<'a> {
    fn of(filter: &'a Filter, store: &LocalStore) -> Result<Self> {
        Ok(match filter {
            Filter::Reference(pattern) => Condition::Reference(pattern.parse().map_err(Error::on_command_line)?),
            Filter::Label(key, value) => Condition::Label(key, value.as_deref()),
            Filter::Before(text) => Condition::Before(created(store, text)?),
            Filter::Since(text) => Condition::Since(created(store, text)?),
            Filter::Until(time) => Condition::Until(*time),
            Filter::Dangling(is_wanted) => Condition::Named(!is_wanted),
        })
    }

    fn holds(&self, listed: &ListedImage) -> bool {
        match self {
            Condition::Reference(pattern) => is_like(&listed.image.name, pattern),
            Condition::Label(key, wanted) => listed.labels.iter().any(|labels| {
                let label = labels.get(*key);
                label.is_some_and(|label| wanted.is_none_or(|wanted| label == wanted))
            }),
            Condition::Before(time) => listed.created < *time,
            Condition::Since(time) => listed.created > *time,
            Condition::Until(time) => {
                let created = UNIX_EPOCH.checked_add(Duration::from_secs(listed.created));
                created.is_some_and(|created| SystemTime::now().duration_since(created).is_ok_and(|age| age >= *time))
            }
            // All that is listed has a name.
            Condition::Named(is_wanted) => *is_wanted,
        }
    }
}

/// Whether a pattern is of a name, with its tag or without.
fn is_like(name: &Reference, pattern: &Pattern) -> bool {
    [name.familiar(), repository(name)].iter().any(|name| pattern.matches(name.as_bytes()))
}

/// Returns when the image that `text` means was made, in seconds since 1970.
fn created(store: &LocalStore, text: &str) -> Result<u64> {
    match store.find(text)?.and_then(|found| found.named) {
        Some(image) => Ok(ListedImage::of(store, image)?.created),
        None => Err(LocalStore::lacks(text)),
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::usage(format!("the filter `{text}` is not known")).with_hint(
                "known filters are reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME and \
                    dangling=BOOL",
            )
        };
        let (key, value) = text.split_once('=').ok_or_else(unknown)?;
        match key {
            "reference" => Ok(Filter::Reference(value.to_owned())),
            "label" => Ok(match value.split_once('=') {
                Some((key, value)) => Filter::Label(key.to_owned(), Some(value.to_owned())),
                None => Filter::Label(value.to_owned(), None),
            }),
            "before" => Ok(Filter::Before(value.to_owned())),
            "since" => Ok(Filter::Since(value.to_owned())),
            "until" => age(value).map(Filter::Until).ok_or_else(unknown),
            "dangling" => quantity::boolean(value).map(Filter::Dangling).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}
