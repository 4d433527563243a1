//! `docker buildx imagetools create`: an image of those that registries have.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::origin::{Origin, only_repository};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::flags::value::{flag, on_or_off};
use crate::cli::metadata;
use crate::cli::print::{answer_readable_json, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::image::{self, Document, Reader};
use crate::oci::{
    Descriptor, ImageIndex, ImageManifest, MANIFEST_LIMIT, Map, Platform, Reference, from_json, media_type,
};
use crate::output::{Means, Output, OutputImage};
use crate::plan::annotation::{self, PlacedAnnotations};
use crate::plan::setting;
use crate::progress::Progress;
use crate::release;
use crate::source::collection::{Collection, ImageChoice};
use crate::source::image::Location;
use crate::store::pending::PendingFile;
use crate::store::read_document;

/// Make an image from images in registries
///
/// Each SOURCE is a name, a digest in the only repository that is named, or a descriptor as JSON. A list is taken apart. What a
/// repository of a tag lacks is brought there, and no layer is pulled within a registry.
#[derive(Debug, Args)]
pub struct CreateImageArguments {
    /// Images to make it of
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Read a source from FILE
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Append the sources to what the first tag stands for
    #[arg(long)]
    append: bool,
    /// Show the image, and push nothing
    #[arg(long)]
    dry_run: bool,
    /// Set an annotation on the index, or, with manifest-descriptor:KEY=VALUE, on what it lists
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Write digest, descriptor and names to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// List the images for these platforms only
    #[arg(short, long, value_name = "LIST")]
    platform: Vec<String>,
    /// Make an index even of a single image
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    prefer_index: bool,
    #[command(flatten)]
    progress: ProgressFlags,
}

/// What the image is made of, as its registries have it.
struct Combined {
    /// The manifests to list, each once, in the order of the sources.
    listed: Vec<Descriptor>,
    /// The only source, if that is a list.
    whole: Option<Document>,
    /// There is a single source.
    is_single: bool,
}

/// Makes the image, and pushes or shows it.
pub fn run(arguments: &CreateImageArguments, environment: &Environment) -> Result<()> {
    if arguments.sources.is_empty() && arguments.file.is_empty() {
        return Err(Error::usage("no sources specified").with_hint("name the images that it is made of"));
    }
    if !arguments.dry_run && arguments.tag.is_empty() {
        return Err(Error::usage("can't push with no tags specified, please set --tag or --dry-run"));
    }
    arguments.metadata_file.as_deref().map_or(Ok(()), PendingFile::check)?;
    let tags = arguments.tag.iter().map(|name| tag(name)).collect::<Result<Vec<_>>>()?;
    let appended = tags.first().filter(|_| arguments.append).map(ToString::to_string);
    let files = arguments.file.iter().map(|path| source_in(path)).collect::<Result<Vec<_>>>()?;
    let texts = appended.iter().chain(&files).chain(&arguments.sources);
    let origins = texts.map(|text| Origin::read(text)).collect::<Result<Vec<_>>>()?;
    let placed = placed(&arguments.annotation)?;
    let client = environment.client(false, 0);
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let mut collection = Collection::new(&client, progress);
    let mut combined = combine(&origins, &tags, &mut collection)?;
    if !arguments.platform.is_empty() {
        let wanted = setting::platforms(&arguments.platform.join(",")).map_err(flag("platform"))?;
        combined.narrow(&wanted)?;
    }
    warn_of_same(&combined.listed);
    let document = combined.document(&placed, arguments.prefer_index, &collection)?;
    if arguments.dry_run {
        return show(&document);
    }
    let root = document.descriptor;
    collection.content.put(root.digest, document.bytes);
    let image = OutputImage { store: &collection.content, root: &root, names: &tags };
    release::write(&[Output::Registry], image, &Means { client: &client, jobs: 0, progress })?;
    reporter.finish();
    let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let file = arguments.metadata_file.as_deref();
    file.map_or(Ok(()), |file| metadata::write(file, image, &names, None, &Commands::default()))
}

/// Reads a name for the image: without a tag it is `latest`.
fn tag(text: &str) -> Result<Reference> {
    let name: Reference = text.parse().map_err(Error::on_command_line)?;
    match name.digest() {
        Some(_) => Err(Error::usage(format!("--tag {text}: the new image has a digest of its own"))),
        None => Ok(name.with_tag(name.tag().unwrap_or("latest"))),
    }
}

/// Reads the source in a file.
fn source_in(path: &Path) -> Result<String> {
    let read = |source| Error::io("read", path, source);
    let mut text = String::new();
    fs::File::open(path).map_err(read)?.take(MANIFEST_LIMIT).read_to_string(&mut text).map_err(read)?;
    Ok(text)
}

/// Reads annotations. Those of what is not made here are refused.
fn placed(texts: &[String]) -> Result<PlacedAnnotations> {
    let mut placed = PlacedAnnotations::default();
    for text in texts {
        let mut all = Map::new();
        annotation::set(&mut all, &mut placed, text).map_err(flag("annotation"))?;
        if !all.is_empty() || !placed.manifests.is_empty() {
            let message = format!("--annotation {text}: only the index is new, the manifests stay as they are");
            return Err(
                Error::usage(message).with_hint("`index:` and `manifest-descriptor:` set annotations in the index")
            );
        }
        if !placed.index_descriptor.is_empty() {
            return Err(Error::usage(format!("--annotation {text}: nothing here has a descriptor of the index")));
        }
    }
    Ok(placed)
}

/// Reads the sources in their registries.
fn combine(origins: &[Origin], tags: &[Reference], collection: &mut Collection<'_>) -> Result<Combined> {
    let only = only_repository(origins, tags)?;
    let mut combined = Combined { listed: Vec::new(), whole: None, is_single: origins.len() == 1 };
    for origin in origins {
        let place = Location::Registry(origin.reference(only.as_ref())?);
        collection.add(&origin.title, &place, ImageChoice::default())?;
        let Some(found) = collection.images.last() else { continue };
        let root = found.image.root.clone();
        origin.wanted().map_or(Ok(()), |wanted| wanted.check(&root))?;
        if media_type::is_index(&root.media_type) {
            let bytes = read_document(&collection.content, &root)?;
            let index: ImageIndex = from_json(&format!("index {}", root.digest), &bytes)?;
            index.manifests.into_iter().for_each(|listed| combined.add(listed));
            combined.whole = Some(Document { descriptor: root, bytes }).filter(|_| combined.is_single);
            continue;
        }
        let read = Reader::new(&collection.content).image(&root)?.ok_or_else(|| image::no_image(&root))?;
        let platform = match origin.wanted().and_then(|wanted| wanted.platform.clone()) {
            Some(wanted) => filled(wanted, &read.config.platform),
            None => read.config.platform,
        };
        let mut listed = Descriptor::new(&root.media_type, root.digest, root.size).with_platform(platform);
        listed.annotations = origin.wanted().map(|wanted| wanted.annotations.clone()).unwrap_or_default();
        combined.add(listed);
    }
    Ok(combined)
}

/// Returns `wanted` with what it leaves open as the config has it.
fn filled(wanted: Platform, own: &Platform) -> Platform {
    let is_own = wanted.architecture.is_empty();
    Platform {
        os: if wanted.os.is_empty() { own.os.clone() } else { wanted.os },
        architecture: if is_own { own.architecture.clone() } else { wanted.architecture },
        variant: wanted.variant.or_else(|| own.variant.clone().filter(|_| is_own)),
        ..wanted
    }
}

impl Combined {
    /// Takes a manifest to list. Of one that is there already, what is said now counts.
    fn add(&mut self, manifest: Descriptor) {
        match self.listed.iter_mut().find(|listed| listed.digest == manifest.digest) {
            Some(listed) => {
                listed.platform = manifest.platform.or(listed.platform.take());
                listed.annotations.extend(manifest.annotations);
            }
            None => self.listed.push(manifest),
        }
    }

    /// Leaves out what is not for one of `platforms`, nor attests to what is.
    fn narrow(&mut self, platforms: &[Platform]) -> Result<()> {
        let is_for = |listed: &Descriptor, wanted: &Platform| {
            !listed.is_attestation() && listed.platform.as_ref().is_some_and(|own| own.normalised() == *wanted)
        };
        let missing = platforms.iter().find(|wanted| !self.listed.iter().any(|listed| is_for(listed, wanted)));
        if let Some(missing) = missing {
            return Err(Error::not_found(format!("no source has an image for {missing}")));
        }
        let is_wanted = |listed: &Descriptor| platforms.iter().any(|wanted| is_for(listed, wanted));
        let kept: Vec<String> =
            self.listed.iter().filter(|listed| is_wanted(listed)).map(|listed| listed.digest.to_string()).collect();
        let before = self.listed.len();
        let attests = |listed: &Descriptor| listed.attested().is_some_and(|about| kept.iter().any(|it| it == about));
        self.listed.retain(|listed| is_wanted(listed) || attests(listed));
        if self.listed.len() < before {
            self.whole = None;
        }
        Ok(())
    }

    /// Returns the index; or, of a single source, that itself: a list where nothing of it changes, an image where no index is
    /// preferred.
    fn document(
        mut self,
        placed: &PlacedAnnotations,
        prefer_index: bool,
        collection: &Collection<'_>,
    ) -> Result<Document> {
        let is_as_it_was = self.is_single && *placed == PlacedAnnotations::default();
        let mut annotations = Map::new();
        match (self.whole, &self.listed[..]) {
            (Some(whole), _) if is_as_it_was => return Ok(whole),
            (None, [only]) if is_as_it_was && !prefer_index => {
                let bytes = read_document(&collection.content, only)?;
                return Ok(Document::new(&only.media_type, bytes));
            }
            (Some(whole), _) => annotations = from_json::<ImageIndex>("the index", &whole.bytes)?.annotations,
            (None, _) => {}
        }
        annotations.extend(placed.index.clone());
        for listed in self.listed.iter_mut().filter(|listed| !listed.is_attestation()) {
            if let Some(platform) = &listed.platform {
                listed.annotations.extend(placed.of_manifest_descriptor(platform));
            }
        }
        Ok(image::list(self.listed, annotations))
    }
}

/// Warns of the first platform that several images are listed for.
fn warn_of_same(listed: &[Descriptor]) {
    let mut known: HashMap<&Platform, &Descriptor> = HashMap::new();
    for image in listed.iter().filter(|listed| !listed.is_attestation()) {
        let Some(platform) = &image.platform else { continue };
        if let Some(other) = known.insert(platform, image) {
            let (other, one) = (other.digest, image.digest);
            tell(&format!("warning: {other} and {one} are both listed for {platform}: a pull gets the first"));
            return;
        }
    }
}

fn show(document: &Document) -> Result<()> {
    let (what, indent) = (document.descriptor.digest.to_string(), "  ");
    match media_type::is_index(&document.descriptor.media_type) {
        true => answer_readable_json(&from_json::<ImageIndex>(&what, &document.bytes)?, indent),
        false => answer_readable_json(&from_json::<ImageManifest>(&what, &document.bytes)?, indent),
    }
}
