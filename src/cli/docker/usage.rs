//! `docker buildx du`, `docker system df`, and the pruning of what builds have left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use crate::cli::age::ago;
use crate::cli::environment::Environment;
use crate::cli::flags::prune::{PruneFlags, age};
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::image::row::{ImageRow, ListedImage, size};
use crate::cli::print::{answer, answer_lines};
use crate::cli::store::idle;
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::plan::label::rfc3339;
use crate::store::{Item, LocalStore};

/// Show what builds have left in the local store
#[derive(Debug, Args)]
pub struct DiskUsageArguments {
    /// Show only what was not used for this long or since then: until=TIME; or one kind: type=KIND
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Show each as a Go template says, such as '{{.ID}} {{.Size}}', or json
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Show all that is known of each
    #[arg(long, conflicts_with = "format")]
    verbose: bool,
}

/// Show how much of the disk the local store takes
#[derive(Debug, Args)]
pub struct SystemUsageArguments {
    /// Show each as a Go template says, such as '{{.Type}} {{.Size}}', or 'table …', or json
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Show images and what builds have left one by one
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,
}

/// A line of `docker buildx du`. The names of the fields are docker's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UsageRow {
    #[serde(rename = "ID")]
    id: String,
    parents: [&'static str; 0],
    created_at: String,
    mutable: bool,
    reclaimable: bool,
    shared: bool,
    size: String,
    description: String,
    usage_count: u64,
    last_used_at: String,
    last_used_since: String,
    r#type: &'static str,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    used: SystemTime,
}

/// A line of `docker system df`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KindRow {
    r#type: &'static str,
    total_count: String,
    active: String,
    size: String,
    reclaimable: String,
}

/// Answers with what lies in the local store, that used last first.
pub fn disk_usage(arguments: &DiskUsageArguments, environment: &Environment) -> Result<()> {
    let rows = rows(environment, &arguments.filter)?;
    if let Some(format) = &arguments.format {
        return answer_lines(format.lines(&rows, &[])?);
    }
    match arguments.verbose {
        true => answer_lines(rows.iter().flat_map(UsageRow::whole))?,
        false => {
            let head = "ID                          RECLAIMABLE   SIZE        LAST ACCESSED".to_owned();
            let line = |row: &UsageRow| {
                // As docker marks what may still change.
                let id = format!("{}{}", row.id, if row.mutable { "*" } else { "" });
                format!("{id:26}  {:<11}   {:<9}   {}", row.reclaimable, row.size, row.last_used_since)
            };
            answer_lines(std::iter::once(head).chain(rows.iter().map(line)))?;
        }
    }
    let total = |is_counted: &dyn Fn(&UsageRow) -> bool| {
        size(rows.iter().filter(|row| is_counted(row)).map(|row| row.bytes).sum())
    };
    answer_lines([
        format!("Shared:         {}", total(&|row| row.shared)),
        format!("Private:        {}", total(&|row| !row.shared)),
        format!("Reclaimable:    {}", total(&|row| row.reclaimable)),
        format!("Total:          {}", total(&|_| true)),
    ])
}

/// Answers with what images and what builds have left take.
pub fn system_usage(arguments: &SystemUsageArguments, environment: &Environment) -> Result<()> {
    let rows = rows(environment, &[])?;
    let images = images(environment)?;
    if arguments.verbose {
        let images: Vec<ImageRow> = images.iter().map(|image| ImageRow::of(image, false)).collect();
        let of_images = Format::table(&["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize"]);
        let titles = [("ID", "IMAGE ID"), ("CreatedSince", "CREATED"), ("SharedSize", "SHARED SIZE")];
        let titles = [&titles[..], &[("UniqueSize", "UNIQUE SIZE")]].concat();
        answer_lines(["Images space usage:", ""])?;
        answer_lines(of_images.lines(&images, &titles)?)?;
        let cache: Vec<&UsageRow> = rows.iter().filter(|row| row.reclaimable).collect();
        let bytes = cache.iter().map(|row| row.bytes).sum();
        answer_lines([String::new(), format!("Build cache usage: {}", size(bytes)), String::new()])?;
        let of_cache = Format::table(&["ID", "Type", "Size", "LastUsedSince", "Shared"]);
        let titles = [("ID", "CACHE ID"), ("Type", "CACHE TYPE"), ("LastUsedSince", "LAST USED")];
        return answer_lines(of_cache.lines(&cache, &titles)?);
    }
    let roots: BTreeSet<Digest> = images.iter().map(|image| image.image.root.digest).collect();
    let of = |r#type, count: usize, bytes: u64| KindRow {
        r#type,
        total_count: count.to_string(),
        // Nothing runs here.
        active: "0".to_owned(),
        size: size(bytes),
        reclaimable: if bytes == 0 { size(0) } else { format!("{} (100%)", size(bytes)) },
    };
    let bytes = |is_cache: bool| rows.iter().filter(|row| row.reclaimable == is_cache).map(|row| row.bytes).sum();
    let cached = rows.iter().filter(|row| row.reclaimable).count();
    let kinds = [
        of("Images", roots.len(), bytes(false)),
        of("Containers", 0, 0),
        of("Local Volumes", 0, 0),
        of("Build Cache", cached, bytes(true)),
    ];
    let usual = || Format::table(&["Type", "TotalCount", "Active", "Size", "Reclaimable"]);
    let titles = [("TotalCount", "TOTAL")];
    answer_lines(arguments.format.clone().unwrap_or_else(usual).lines(&kinds, &titles)?)
}

/// Removes what builds have left and no name keeps, and answers with what was freed, behind `title`.
pub fn prune(flags: &PruneFlags, title: &str, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let bound = flags.bound(&store, 0)?;
    answer(&format!("{title}{}", size(idle(store)?.prune(&bound)?.size())))
}

fn images(environment: &Environment) -> Result<Vec<ListedImage>> {
    let Some(root) = environment.present_store() else { return Ok(Vec::new()) };
    let store = LocalStore::open(root)?;
    store.names()?.into_iter().map(|image| ListedImage::of(&store, image)).collect()
}

fn rows(environment: &Environment, filters: &[String]) -> Result<Vec<UsageRow>> {
    let Some(root) = environment.present_store() else { return Ok(Vec::new()) };
    let store = LocalStore::open(root)?;
    let (contents, kept, names) = (store.contents()?, store.kept_by_names()?, store.names_of_blobs()?);
    let blobs = contents.blobs.iter().map(|blob| (blob, store.kind(&blob.digest).name()));
    let unpacked = contents.unpacked.iter().map(|item| (item, "unpacked layer"));
    let caches = contents.caches.iter().map(|item| (item, CACHE_MOUNT));
    let mut items: Vec<(&Item, &str)> = blobs.chain(unpacked).chain(caches).collect();
    items.sort_by_key(|(item, _)| std::cmp::Reverse((item.used, item.digest)));
    let mut rows: Vec<UsageRow> =
        items.into_iter().map(|(item, kind)| row(item, kind, kept.contains(&item.digest), &names)).collect();
    for filter in filters {
        match filter.split_once('=') {
            Some(("until" | "unused-for", time)) => {
                let time = age(time).ok_or_else(|| unknown(filter))?;
                let now = SystemTime::now();
                rows.retain(|row| now.duration_since(row.used).is_ok_and(|age| age >= time));
            }
            Some(("type", kind)) => rows.retain(|row| row.r#type == kind.trim_start_matches('=')),
            Some(("id", wanted)) => rows.retain(|row| row.id.starts_with(wanted.trim_start_matches(['=', '~']))),
            _ => return Err(unknown(filter)),
        }
    }
    Ok(rows)
}

const CACHE_MOUNT: &str = "cache mount";

fn unknown(filter: &str) -> Error {
    Error::usage(format!("the filter `{filter}` is not known"))
        .with_hint("known filters are until=TIME, type=KIND and id=ID")
}

/// As many digits as docker's own have.
fn id(digest: &Digest) -> String {
    digest.hex().chars().take(25).collect()
}

fn row(item: &Item, kind: &str, is_kept: bool, names: &BTreeMap<Digest, Vec<Reference>>) -> UsageRow {
    let seconds = item.used.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let used = i64::try_from(seconds).ok().and_then(|seconds| rfc3339(seconds).ok()).unwrap_or_default();
    let named = names.get(&item.digest).and_then(|names| names.first());
    let is_mount = kind == CACHE_MOUNT;
    UsageRow {
        id: id(&item.digest),
        parents: [],
        created_at: used.clone(),
        mutable: is_mount,
        reclaimable: !is_kept,
        shared: names.get(&item.digest).is_some_and(|names| names.len() > 1),
        size: size(item.size),
        description: named.map_or_else(|| kind.to_owned(), |name| format!("{kind} of {}", name.familiar())),
        usage_count: 1,
        last_used_at: used,
        last_used_since: ago(seconds),
        r#type: if is_mount { "exec.cachemount" } else { "regular" },
        bytes: item.size,
        used: item.used,
    }
}

impl UsageRow {
    /// Returns all that is known of it, in lines, and an empty one.
    fn whole(&self) -> [String; 10] {
        [
            format!("ID:           {}", self.id),
            format!("Created at:   {}", self.created_at),
            format!("Mutable:      {}", self.mutable),
            format!("Reclaimable:  {}", self.reclaimable),
            format!("Shared:       {}", self.shared),
            format!("Size:         {}", self.size),
            format!("Description:  {}", self.description),
            format!("Last used:    {}", self.last_used_since),
            format!("Type:         {}", self.r#type),
            String::new(),
        ]
    }
}
