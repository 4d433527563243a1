//! `ocibake save`: images of the local store as an archive.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::environment::Environment;
use crate::cli::flags::value::flag;
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Platform, Reference, media_type};
use crate::output::{Bundle, BundleEntry, Means, Names, Output, OutputImage, STANDARD_OUTPUT};
use crate::plan::setting;
use crate::progress::Progress;
use crate::release;
use crate::source::collection::{Collection, ImageChoice};
use crate::source::image::Location;
use crate::store::LocalStore;

/// Write images of the local store to an archive
///
/// A docker archive has one platform of each image: that of this machine, unless --platform says another.
#[derive(Debug, Args)]
pub struct SaveArguments {
    /// Images: names, IDs, or names without a tag for all tags that they have
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Archive to write, instead of standard output; - is that, too
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Kind of the archive
    #[arg(long, value_name = "FORMAT", default_value = "docker")]
    format: SaveFormat,
    /// Save these platforms only, such as linux/arm64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    platform: Vec<String>,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SaveFormat {
    /// For `docker load` and `podman load`
    Docker,
    /// An OCI layout in a tar, with all platforms
    Oci,
}

/// Writes an archive.
pub fn run(arguments: &SaveArguments, environment: &Environment) -> Result<()> {
    let path = arguments.output.clone().unwrap_or_else(|| STANDARD_OUTPUT.into());
    if path == *STANDARD_OUTPUT && io::stdout().is_terminal() {
        return Err(Error::usage("an archive cannot be written to a terminal").with_hint("use -o FILE, or a pipe"));
    }
    let reporter = Reporter::new(&arguments.progress);
    save(arguments, path, environment, &|event| reporter.report(event))?;
    reporter.finish();
    Ok(())
}

fn save(arguments: &SaveArguments, path: PathBuf, environment: &Environment, progress: Progress<'_>) -> Result<()> {
    let platforms = match (arguments.platform.is_empty(), arguments.format) {
        (false, _) => setting::platforms(&arguments.platform.join(",")).map_err(flag("platform"))?,
        (true, SaveFormat::Docker) => vec![Platform::host()],
        (true, SaveFormat::Oci) => Vec::new(),
    };
    let root = environment.store()?;
    let store = LocalStore::open(root)?;
    let mut images: Vec<(String, bool)> = Vec::new();
    for text in &arguments.images {
        for image in named(&store, text)? {
            if !images.contains(&image) {
                images.push(image);
            }
        }
    }
    let client = environment.client(false, 0);
    let mut collection = Collection::new(&client, progress);
    for (name, has_several) in &images {
        // What has one platform is saved as it is, whichever that is, unless one is asked for.
        let is_narrowed = *has_several || !arguments.platform.is_empty();
        let choice = ImageChoice { platforms: if is_narrowed { &platforms } else { &[] }, referrers: false };
        collection.add(name, &Location::Local(root.to_owned(), name.clone()), choice)?;
    }
    let kept: Vec<Names> = collection.images.iter().map(|collected| Names::kept(&collected.image)).collect();
    let entries = collection.images.iter().zip(&kept).map(|(collected, names)| BundleEntry {
        image: OutputImage { store: &collection.content, root: &collected.image.root, names: &names.full },
        short_names: &names.short,
        referrers: &collected.referrers,
    });
    let bundle = Bundle { entries: entries.collect(), left_out: None };
    let output = match arguments.format {
        SaveFormat::Docker => Output::DockerArchive(path),
        SaveFormat::Oci => Output::OciArchive(path),
    };
    release::write_all(&[output], &bundle, &Means { client: &client, jobs: 0, progress })
}

/// Returns the names and IDs that `text` means, each with whether that is an index: one, or all tags of a name that has none.
fn named(store: &LocalStore, text: &str) -> Result<Vec<(String, bool)>> {
    let is_index = |root: &Descriptor| media_type::is_index(&root.media_type);
    if let Ok(name) = text.parse::<Reference>()
        && name.tag().is_none()
        && name.digest().is_none()
    {
        let images = store.names()?.into_iter().filter(|image| image.name.name() == name.name());
        let all: Vec<_> = images.map(|image| (image.name.to_string(), is_index(&image.root))).collect();
        if !all.is_empty() {
            return Ok(all);
        }
    }
    match store.find(text)? {
        Some(found) => Ok(vec![(text.to_owned(), is_index(&found.root))]),
        None => Err(LocalStore::lacks(text)),
    }
}
