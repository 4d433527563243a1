use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::oci::{Descriptor, from_json, to_json};
use crate::plan::record::Record;
use crate::store::pending::PendingFile;

/// The key of what a push did to tags, beside buildx's.
const RELEASE: &str = "ocibake.release";

/// In bytes; far more than the tags of any push need.
const LIMIT: u64 = 16 << 20;

/// Writes `--metadata-file`, in one step: the image at `root` stands under `names`.
pub fn write(path: &Path, root: &Descriptor, names: &[String], record: Option<&Record>) -> Result<()> {
    // buildx's keys.
    let mut metadata = json!({
        "containerimage.digest": root.digest,
        "containerimage.descriptor": root,
        "image.name": names.join(","),
    });
    if let Some(record) = record {
        metadata[RELEASE] = json!(record);
    }
    PendingFile::replace(path, &to_json(&metadata))
}

/// What the last push recorded in `path`.
pub fn record(path: &Path) -> Result<Record> {
    let read = |source| Error::io("read", path, source);
    let mut bytes = Vec::new();
    File::open(path).map_err(read)?.take(LIMIT).read_to_end(&mut bytes).map_err(read)?;
    let what = path.display().to_string();
    let mut metadata: Value = from_json(&what, &bytes)?;
    match metadata.get_mut(RELEASE).map(Value::take) {
        Some(record) => serde_json::from_value(record).map_err(|source| {
            Error::input(format!("`{RELEASE}` in {what} is not what `ocibake push` writes")).with_source(source)
        }),
        None => Err(Error::input(format!("{what} has no record of a push"))
            .with_hint("`ocibake push --metadata-file FILE` writes one; that of a build sets no tags to go back from")),
    }
}
