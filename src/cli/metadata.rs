//! `--metadata-file`: what a build or a push writes about its result, and the record that it reads back.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::commands::Commands;
use crate::error::{Error, Result};
use crate::image::Reader;
use crate::oci::{Digest, Reference, from_json, to_json};
use crate::output::OutputImage;
use crate::release::record::{Record, RecordedTag};
use crate::store::pending::PendingFile;
use crate::sync::locked;

/// Buildx's keys of an image's digest and of its names, which commas separate.
const DIGEST: &str = "containerimage.digest";
const NAMES: &str = "image.name";

/// The key of what a push did to tags, beside buildx's.
const RELEASE: &str = "ocibake.release";

/// The key of the commands that were run or need not be.
const COMMANDS: &str = "ocibake.commands";

/// The largest file that is read, in bytes; far more than the tags of any push need.
const LIMIT: u64 = 16 << 20;

/// Writes `--metadata-file`, in one step: `image`, which was made by `commands`, stands under `names`.
pub fn write(
    path: &Path,
    image: OutputImage<'_>,
    names: &[String],
    record: Option<&Record>,
    commands: &Commands,
) -> Result<()> {
    PendingFile::replace(path, &to_json(&told(image, names, record, commands.told(None))))
}

/// Writes the file for several targets, each of which has what [`write`] tells of one.
pub fn write_all(path: &Path, targets: &[(&str, OutputImage<'_>)], commands: &Commands) -> Result<()> {
    let is_only = targets.len() == 1;
    let target = |(name, image): &(&str, OutputImage<'_>)| {
        let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
        let commands = commands.told(Some(*name).filter(|_| !is_only));
        ((*name).to_owned(), told(*image, &names, None, commands))
    };
    PendingFile::replace(path, &to_json(&targets.iter().map(target).collect::<serde_json::Map<_, _>>()))
}

fn told(
    OutputImage { store, root, .. }: OutputImage<'_>,
    names: &[String],
    record: Option<&Record>,
    commands: Option<Value>,
) -> Value {
    // buildx's keys.
    let mut metadata = json!({
        DIGEST: root.digest,
        "containerimage.descriptor": root,
        NAMES: names.join(","),
    });
    // An index has several.
    if let Ok(Some(manifest)) = Reader::new(store).manifest(root) {
        metadata["containerimage.config.digest"] = json!(manifest.config.digest);
    }
    if let Some(record) = record {
        metadata[RELEASE] = json!(record);
    }
    if let Some(commands) = commands {
        metadata[COMMANDS] = commands;
    }
    metadata
}

/// Keeps the record of a push in `file`, over that of the one before it, with the commands of the build.
pub fn keeper(file: Option<&Path>, commands: &Commands) -> impl Fn(OutputImage<'_>, Record) -> Result<()> + Sync {
    // A file that tells of no push does not matter: it is about to be replaced.
    let earlier = file.and_then(|file| record(file).ok());
    move |image: OutputImage<'_>, mut record: Record| {
        earlier.iter().for_each(|earlier| record.carry_over(earlier));
        let set = set_by(&record, image);
        file.map_or(Ok(()), |file| write(file, image, &set, Some(&record), commands))
    }
}

/// The record of a push of several targets, all in one file.
pub struct SystemRecord<'a> {
    file: Option<&'a Path>,
    commands: &'a Commands,
    are_several: bool,
    earlier: Option<Record>,
    targets: Mutex<serde_json::Map<String, Value>>,
}

impl<'a> SystemRecord<'a> {
    /// Returns an empty record. Nothing is kept without a file.
    pub fn new(file: Option<&'a Path>, commands: &'a Commands, are_several: bool) -> Self {
        let earlier = file.and_then(|file| record(file).ok());
        SystemRecord { file, commands, are_several, earlier, targets: Mutex::default() }
    }

    /// Keeps what is done to the tags of `target`, over that of the push before.
    pub fn keep(&self, target: &str, image: OutputImage<'_>, mut record: Record) -> Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        self.earlier.iter().for_each(|earlier| record.carry_over(earlier));
        let set = set_by(&record, image);
        let commands = self.commands.told(Some(target).filter(|_| self.are_several));
        let mut targets = locked(&self.targets);
        targets.insert(target.to_owned(), told(image, &set, Some(&record), commands));
        PendingFile::replace(file, &to_json(&*targets))
    }
}

/// Returns the names that stand for `image` once `record` is complete.
fn set_by(record: &Record, image: OutputImage<'_>) -> Vec<String> {
    let stands = |tag: &&RecordedTag| tag.after.as_ref().is_some_and(|after| after.digest == image.root.digest);
    record.tags.iter().filter(stands).map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
}

/// Returns the command that gives tags back what they stood for before the push that `file` tells of.
pub fn undo(file: &Path) -> String {
    format!("ocibake tags --rollback {}", file.display())
}

/// Returns the record of the last push that `path` tells of. Fails for a file that tells of none.
pub fn record(path: &Path) -> Result<Record> {
    let what = path.display().to_string();
    let mut metadata = read(path)?;
    let mut told: Vec<Value> = metadata.get_mut(RELEASE).map(Value::take).into_iter().collect();
    if told.is_empty() {
        // One of several targets.
        let targets = metadata.as_object_mut().into_iter().flat_map(|targets| targets.values_mut());
        told.extend(targets.filter_map(|target| target.get_mut(RELEASE).map(Value::take)));
    }
    if told.is_empty() {
        return Err(Error::input(format!("{what} has no record of a push")).with_hint(
            "`ocibake push --metadata-file FILE` writes one; a build sets no tags that could be rolled back",
        ));
    }
    let mut whole = Record { complete: true, tags: Vec::new() };
    for value in told {
        let record: Record = serde_json::from_value(value).map_err(|source| {
            Error::input(format!("`{RELEASE}` in {what} is not what `ocibake push` writes")).with_source(source)
        })?;
        whole.complete &= record.complete;
        whole.tags.extend(record.tags);
    }
    Ok(whole)
}

/// Returns the images that a metadata file tells of, each under each of its names: of the one that it is about, or of each
/// target, as buildx writes it. Fails for a file that tells of none.
pub fn images(path: &Path) -> Result<Vec<(Reference, Digest)>> {
    let metadata = read(path)?;
    let about = |metadata: &Value| -> Result<Vec<(Reference, Digest)>> {
        let (Some(names), Some(digest)) = (metadata[NAMES].as_str(), metadata[DIGEST].as_str()) else {
            return Ok(Vec::new());
        };
        let digest: Digest = digest.parse()?;
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| Ok((name.parse::<Reference>()?, digest))).collect()
    };
    let targets = metadata.as_object().into_iter().flat_map(|targets| targets.values());
    let mut images = Vec::new();
    for each in std::iter::once(&metadata).chain(targets.filter(|target| target.is_object())) {
        let what = |error: Error| Error { message: format!("{}: {}", path.display(), error.message), ..error };
        images.extend(about(each).map_err(what)?);
    }
    match images.is_empty() {
        true => Err(Error::input(format!("{} lists no image that has a name", path.display()))
            .with_hint("`--metadata-file` of a build or a push does, if the image is named with -t")),
        false => Ok(images),
    }
}

fn read(path: &Path) -> Result<Value> {
    let failed = |source| Error::io("read", path, source);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    from_json(&path.display().to_string(), &bytes)
}
