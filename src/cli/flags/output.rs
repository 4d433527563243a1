//! The flags that say where an image goes.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::cache::CacheFlags;
use super::value::{on_or_off, value};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::{image_refs, metadata};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Reference};
use crate::output::engine::{Engine, EngineKind, EngineSettings};
use crate::output::{Output, OutputImage, STANDARD_OUTPUT};
use crate::plan::annotation::PlacedAnnotations;
use crate::plan::secret::csv_fields;
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::store::pending::PendingFile;

/// The flags that say where the image goes, and how; nothing of this changes it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Write to FILE (OCI archive), DIR/ (OCI layout), - (docker archive), or type=oci|docker|registry|engine|local|tar[,dest=PATH]
    ///
    /// type=image leaves the image in the local store, as every build does; with push=true it is pushed, too, with
    /// push-by-digest=true without a tag; annotation[-PLACE].KEY=VALUE annotates it. With type=cacheonly it is built and gets
    /// no name. type=engine loads it into docker, podman or containerd, the first that is there, or into
    /// name=docker|podman|containerd|kind|k3d|minikube; type=docker without dest does so where there is one.
    ///
    /// type=oci,dest=FILE is an OCI archive, with tar=false a layout; type=docker,dest=FILE is for `docker load`.
    /// type=local,dest=DIR and type=tar,dest=FILE are the files of the image; limit=SIZE is the most that they may have
    /// together, by default 4g or 100 times the compressed size. dest=- is standard output, which then does not have the
    /// digest. Several outputs of one build are written in their order.
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<OutputFlag>)]
    output: Vec<OutputFlag>,
    /// Load into an engine on this machine, as -o type=engine does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    load: Option<bool>,
    /// Where docker's words are meant, the local store is an engine, too.
    #[arg(skip)]
    in_dockers_words: bool,
    /// Threads, and uploads at a time [default: one per core, at most 16]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Read every file, even those whose size, times and inode are as an earlier build saw them
    #[arg(long)]
    pub no_stat_cache: bool,
    #[command(flatten)]
    pub cache: CacheFlags,
    /// Build twice without using earlier builds, and fail if the second build comes out differently
    ///
    /// The error names the first file that differs, how it differs, and the step that made it. The second build is separate,
    /// has empty cache mounts and is not kept; nothing is written unless both are the same.
    #[arg(long)]
    pub verify_rebuild: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    pub insecure: bool,
    /// Write the image's digest to FILE
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write digest, descriptor, names and the times of commands to FILE, as JSON; `push` adds what its tags stood for
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write a line NAME@DIGEST for each repository of the image to FILE, for `ocibake resolve` and what signs images
    #[arg(long, value_name = "FILE")]
    pub image_refs: Option<PathBuf>,
}

impl OutputFlags {
    /// Returns the outputs that are to be written, and the registry with them if `push`. Engines are looked for, but not in
    /// `contexts`; fails if one is to be there and is not.
    pub fn outputs(
        &self,
        push: bool,
        environment: &Environment,
        contexts: &[PathBuf],
        progress: Progress<'_>,
    ) -> Result<Vec<Output>> {
        let mut outputs = self.written().collect::<Vec<_>>();
        for engine in self.engines(&environment.engines(), contexts, progress)? {
            if !outputs.contains(&Output::Engine(engine.clone())) {
                outputs.push(Output::Engine(engine));
            }
        }
        let push = push
            || self.output.iter().any(|output| matches!(output, OutputFlag::Image(ImageFields { push: true, .. })));
        if push && !outputs.contains(&Output::Registry) {
            outputs.push(Output::Registry);
        }
        Ok(outputs)
    }

    /// Returns the engines that the image is to be loaded into. Where docker's words are meant, and for docker's `type=docker`,
    /// none need be there.
    fn engines(&self, settings: &EngineSettings, contexts: &[PathBuf], progress: Progress<'_>) -> Result<Vec<Engine>> {
        let mut engines = Vec::new();
        for output in &self.output {
            if let OutputFlag::Engine(wanted) = output {
                engines.push(settings.find(*wanted, contexts)?.ok_or_else(no_engine)?);
            }
        }
        let is_asked = self.load == Some(true);
        let may_be_meant =
            self.output.iter().any(|output| matches!(output, OutputFlag::Image(ImageFields { loads: true, .. })));
        if !is_asked && (!may_be_meant || self.load == Some(false)) {
            return Ok(engines);
        }
        let needs_none = self.in_dockers_words || !is_asked;
        match settings.find(None, contexts) {
            Ok(found) if found.is_some() || needs_none => engines.extend(found),
            Ok(_) => return Err(no_engine()),
            Err(error) if needs_none => {
                let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                let message = format!("the image stays in the local store: {}{hint}", error.message);
                progress(Event::Warning { kind: WarningKind::EngineLeftOut, message: &message });
            }
            Err(error) => return Err(error),
        }
        Ok(engines)
    }

    /// Returns whether an output goes to standard output, in the place of the digest. Fails where that is a terminal.
    pub fn streams(&self) -> Result<bool> {
        let streams = self.written().any(|output| output.is_standard_output());
        match streams && io::stdout().is_terminal() {
            true => {
                Err(Error::usage("an image cannot be written to a terminal").with_hint("name a file, or use a pipe"))
            }
            false => Ok(streams),
        }
    }

    /// Adds an output, as `-o` does.
    pub fn add(&mut self, text: &str) -> Result<()> {
        self.output.push(text.parse()?);
        Ok(())
    }

    /// Takes what is a path alone for a directory of files, and the local store for an engine, as docker's words are meant.
    pub fn take_dockers_words(&mut self) {
        self.in_dockers_words = true;
        for output in &mut self.output {
            if let OutputFlag::Path(text) = output {
                let path = PathBuf::from(&*text);
                let written = match text == STANDARD_OUTPUT {
                    true => Output::Tar { path, limit: None },
                    false => Output::Directory { path, limit: None },
                };
                *output = OutputFlag::Written(written, PlacedAnnotations::default());
            }
        }
    }

    /// Returns the names that outputs give the image.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let names = self.output.iter().flat_map(|output| match output {
            OutputFlag::Image(ImageFields { names, .. }) => &names[..],
            OutputFlag::Path(_) | OutputFlag::Written(..) | OutputFlag::Engine(_) | OutputFlag::CacheOnly => &[],
        });
        names.cloned()
    }

    /// Returns whether repositories get the image under its digest alone, and no tag.
    pub fn is_by_digest(&self) -> bool {
        self.output.iter().any(|output| matches!(output, OutputFlag::Image(ImageFields { is_by_digest: true, .. })))
    }

    /// Returns the annotations that outputs give the image.
    pub fn annotations(&self) -> PlacedAnnotations {
        let mut all = PlacedAnnotations::default();
        for output in &self.output {
            match output {
                OutputFlag::Image(ImageFields { annotations, .. }) | OutputFlag::Written(_, annotations) => {
                    all.extend(annotations.clone());
                }
                OutputFlag::Path(_) | OutputFlag::Engine(_) | OutputFlag::CacheOnly => {}
            }
        }
        all
    }

    /// Returns whether it is said that the image goes nowhere but into the local store.
    pub fn is_kept(&self) -> bool {
        self.output.iter().any(|output| matches!(output, OutputFlag::Image(_) | OutputFlag::CacheOnly))
    }

    /// Returns whether the image is asked for by its digest: a file is to have that, or the words are docker's.
    pub fn is_noted(&self) -> bool {
        self.in_dockers_words || self.iidfile.is_some() || self.metadata_file.is_some() || self.image_refs.is_some()
    }

    /// Returns whether the image gets no name.
    pub fn is_cache_only(&self) -> bool {
        self.output.iter().any(|output| matches!(output, OutputFlag::CacheOnly))
    }

    fn written(&self) -> impl Iterator<Item = Output> {
        self.output.iter().filter_map(|output| match output {
            OutputFlag::Path(text) => text.parse().ok(),
            OutputFlag::Written(output, _) => Some(output.clone()),
            OutputFlag::Image(_) | OutputFlag::Engine(_) | OutputFlag::CacheOnly => None,
        })
    }

    /// Returns the client that moves blobs as these flags say.
    pub fn client(&self, environment: &Environment) -> OnDemand {
        environment.client(self.insecure, self.jobs)
    }

    /// Fails where [`note`](Self::note) is sure to, so that it does so before the work and not after it.
    pub fn check_notes(&self, names: &[Reference]) -> Result<()> {
        if self.image_refs.is_some() && names.is_empty() {
            return Err(
                Error::usage("--image-refs lists names, but the image has none").with_hint("name it with -t NAME")
            );
        }
        let files = [&self.iidfile, &self.metadata_file, &self.image_refs];
        files.into_iter().flatten().try_for_each(|path| PendingFile::check(path))
    }

    /// Writes the files that tell of the result, each in one step.
    pub fn note(&self, image: OutputImage<'_>, commands: &Commands) -> Result<()> {
        self.note_digest(image.root)?;
        self.note_references(image.names, image.root)?;
        let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
        self.metadata_file.as_ref().map_or(Ok(()), |path| metadata::write(path, image, &names, None, commands))
    }

    /// Writes the file of references alone.
    pub fn note_references(&self, names: &[Reference], root: &Descriptor) -> Result<()> {
        let images = names.iter().map(|name| (name, root.digest));
        self.image_refs.as_ref().map_or(Ok(()), |path| image_refs::write(path, images))
    }

    /// Writes the file of the digest alone.
    pub fn note_digest(&self, root: &Descriptor) -> Result<()> {
        self.iidfile.as_ref().map_or(Ok(()), |path| PendingFile::replace(path, root.digest.to_string().as_bytes()))
    }
}

/// An output as a flag names it: one that is written, or docker's words for what is left in the store of images.
#[derive(Debug, Clone)]
enum OutputFlag {
    /// A path that is an output, and says nothing more.
    Path(String),
    Written(Output, PlacedAnnotations),
    Image(ImageFields),
    /// This one, or whichever is there.
    Engine(Option<EngineKind>),
    CacheOnly,
}

/// What the fields of an image say.
#[derive(Debug, Clone, Default)]
struct ImageFields {
    /// Beside those of `-t`.
    names: Vec<String>,
    push: bool,
    /// It is pushed without a tag.
    is_by_digest: bool,
    /// It goes into an engine, too, if one is there.
    loads: bool,
    annotations: PlacedAnnotations,
}

impl FromStr for OutputFlag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = csv_fields(text).unwrap_or_else(|| vec![text.to_owned()]);
        let fields: Vec<(&str, &str)> = all.iter().filter_map(|field| field.split_once('=')).collect();
        let of = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match (of("type"), of("dest")) {
            (None, _) if fields.is_empty() => text.parse().map(|_: Output| OutputFlag::Path(text.to_owned())),
            (Some("cacheonly"), _) => Ok(OutputFlag::CacheOnly),
            (Some("image"), None) => image(text, &fields, ImageFields::default()),
            (Some("docker"), None) => image(text, &fields, ImageFields { loads: true, ..ImageFields::default() }),
            (Some("registry"), None) if fields.len() > 1 => {
                image(text, &fields, ImageFields { push: true, ..ImageFields::default() })
            }
            (Some("engine"), _) => engine(text, &fields).map(OutputFlag::Engine),
            _ => written(text, &all),
        }
    }
}

/// Reads an output that is written, and the annotations among its fields.
fn written(text: &str, fields: &[String]) -> Result<OutputFlag> {
    let mut annotations = PlacedAnnotations::default();
    let mut others = Vec::with_capacity(fields.len());
    for field in fields {
        match field.split_once('=') {
            Some((name, value)) if annotations.set_field(name, value)? => {}
            _ => others.push(field.as_str()),
        }
    }
    let output = if others.len() == fields.len() { text.parse() } else { others.join(",").parse() };
    output.map(|output| OutputFlag::Written(output, annotations))
}

/// Reads the fields of `type=engine`.
fn engine(text: &str, fields: &[(&str, &str)]) -> Result<Option<EngineKind>> {
    let mut wanted = None;
    for (key, value) in fields {
        match *key {
            "type" => {}
            "name" => wanted = Some(value.parse().map_err(Error::on_command_line)?),
            _ => {
                return Err(Error::usage(format!("`{key}={value}` in the output `{text}` is not known"))
                    .with_hint("an engine takes name=docker|podman|containerd|kind|k3d|minikube"));
            }
        }
    }
    Ok(wanted)
}

fn no_engine() -> Error {
    Error::not_found("there is no engine here to load the image into").with_hint(
        "start docker or install podman, or name the engine, as in -o type=engine,name=kind; without one every build leaves its \
         image in the local store, and -o FILE writes an archive",
    )
}

/// Reads the fields of buildx's `type=image` over what the type says by itself in `image`.
fn image(text: &str, fields: &[(&str, &str)], mut image: ImageFields) -> Result<OutputFlag> {
    for (key, value) in fields {
        let is_on = || on_or_off(value).map_err(|error| Error::usage(format!("`{key}={value}`: {error}")));
        match (*key, *value) {
            // The canonical name is the one with the digest, by which a registry has the image in any case.
            ("type", _) | ("unpack" | "store" | "oci-mediatypes", "true" | "1") | ("name-canonical", _) => {}
            ("name", names) => image.names.extend(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned)),
            ("push", _) => image.push = is_on()?,
            ("push-by-digest", _) => image.is_by_digest = is_on()?,
            _ if image.annotations.set_field(key, value)? => {}
            _ => {
                return Err(Error::usage(format!("`{key}={value}` in the output `{text}` is not known")).with_hint(
                    "an image takes name=NAME, push=BOOL, push-by-digest=BOOL and annotation[-PLACE].KEY=VALUE",
                ));
            }
        }
    }
    Ok(OutputFlag::Image(image))
}
