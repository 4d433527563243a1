//! The flags that say where an image goes.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::value::{on_or_off, value};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::metadata;
use crate::error::{Error, Result};
use crate::oci::Descriptor;
use crate::output::{Output, OutputImage, STANDARD_OUTPUT};
use crate::registry::OnDemand;
use crate::store::pending::PendingFile;

/// The flags that say where the image goes, and how; nothing of this changes it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Write to FILE (OCI archive), DIR/ (OCI layout), - (docker archive), or type=oci|docker|registry|local|tar[,dest=PATH]
    ///
    /// type=image, and type=docker without dest, leave the image in the local store, as every build does; with push=true it is pushed,
    /// too. With type=cacheonly it is built and gets no name.
    ///
    /// type=oci,dest=FILE is an OCI archive, with tar=false a layout; type=docker,dest=FILE is for `docker load`.
    /// type=local,dest=DIR and type=tar,dest=FILE are the files of the image; limit=SIZE is what they may have together,
    /// by default 4g or 100 times what is compressed. dest=- is standard output, which then does not have the digest. Several outputs of one build are written in their order.
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<OutputFlag>)]
    output: Vec<OutputFlag>,
    /// Threads, and uploads at a time [default: one per core, at most 16]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Read every file, even those whose size, times and inode are as an earlier build saw them
    #[arg(long)]
    pub no_stat_cache: bool,
    /// Take layers that come out the same from this image; also type=registry,ref=NAME
    ///
    /// It was built by ocibake with the same --compression, on whatever machine, and is named as for `inspect`. Layers that
    /// it has are neither compressed here nor sent to the registry that it is in. One that cannot be had is a warning.
    #[arg(long, value_name = "REF", value_parser = cached_image)]
    pub cache_from: Vec<String>,
    /// Build twice without what earlier builds have left, and fail if the second comes out differently
    ///
    /// The error names the first file that differs, what about it, and the step that has made it. The second build is made
    /// apart, with cache mounts that are empty, and goes nowhere; nothing is written unless both are the same.
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
}

impl OutputFlags {
    /// Returns the outputs that are to be written, and the registry with them if `push`.
    pub fn outputs(&self, push: bool) -> Vec<Output> {
        let mut outputs = self.written().collect::<Vec<_>>();
        let push = push || self.output.iter().any(|output| matches!(output, OutputFlag::Image { push: true, .. }));
        if push && !outputs.contains(&Output::Registry) {
            outputs.push(Output::Registry);
        }
        outputs
    }

    /// Returns whether an output goes to standard output, in the place of the digest. Fails where that is a terminal.
    pub fn streams(&self) -> Result<bool> {
        let streams = self.written().any(|output| output.is_standard_output());
        match streams && io::stdout().is_terminal() {
            true => Err(Error::usage("an image is not written to a terminal").with_hint("name a file, or use a pipe")),
            false => Ok(streams),
        }
    }

    /// Takes what is a path alone for a directory of files, as docker does.
    pub fn take_paths_for_files(&mut self) {
        for output in &mut self.output {
            if let OutputFlag::Path(text) = output {
                let path = PathBuf::from(&*text);
                *output = OutputFlag::Written(match text == STANDARD_OUTPUT {
                    true => Output::Tar { path, limit: None },
                    false => Output::Directory { path, limit: None },
                });
            }
        }
    }

    /// Returns the names that outputs give the image.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let names = self.output.iter().flat_map(|output| match output {
            OutputFlag::Image { names, .. } => &names[..],
            OutputFlag::Path(_) | OutputFlag::Written(_) | OutputFlag::CacheOnly => &[],
        });
        names.cloned()
    }

    /// Returns whether it is said that the image goes nowhere but into the local store.
    pub fn is_kept(&self) -> bool {
        self.output.iter().any(|output| matches!(output, OutputFlag::Image { .. } | OutputFlag::CacheOnly))
    }

    /// Returns whether the image gets no name.
    pub fn is_cache_only(&self) -> bool {
        self.output.iter().any(|output| matches!(output, OutputFlag::CacheOnly))
    }

    fn written(&self) -> impl Iterator<Item = Output> {
        self.output.iter().filter_map(|output| match output {
            OutputFlag::Path(text) => text.parse().ok(),
            OutputFlag::Written(output) => Some(output.clone()),
            OutputFlag::Image { .. } | OutputFlag::CacheOnly => None,
        })
    }

    /// Returns the client that moves blobs as these flags say.
    pub fn client(&self, environment: &Environment) -> OnDemand {
        environment.client(self.insecure, self.jobs)
    }

    /// Fails where [`note`](Self::note) is sure to, so that it does so before the work and not after it.
    pub fn check_notes(&self) -> Result<()> {
        [&self.iidfile, &self.metadata_file].into_iter().flatten().try_for_each(|path| PendingFile::check(path))
    }

    /// Writes the files that tell of the result, each in one step.
    pub fn note(&self, image: OutputImage<'_>, commands: &Commands) -> Result<()> {
        self.note_digest(image.root)?;
        let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
        self.metadata_file.as_ref().map_or(Ok(()), |path| metadata::write(path, image, &names, None, commands))
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
    Written(Output),
    /// Under its names and these.
    Image {
        names: Vec<String>,
        push: bool,
    },
    CacheOnly,
}

impl FromStr for OutputFlag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fields: Vec<(&str, &str)> = text.split(',').filter_map(|field| field.split_once('=')).collect();
        let of = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match (of("type"), of("dest")) {
            (None, _) if fields.is_empty() => text.parse().map(|_: Output| OutputFlag::Path(text.to_owned())),
            (Some("cacheonly"), _) => Ok(OutputFlag::CacheOnly),
            (Some("image"), None) | (Some("docker"), None) => image(text, &fields),
            _ => text.parse().map(OutputFlag::Written),
        }
    }
}

/// Reads the fields of buildx's `type=image`.
fn image(text: &str, fields: &[(&str, &str)]) -> Result<OutputFlag> {
    let (mut names, mut push) = (Vec::new(), false);
    for (key, value) in fields {
        match (*key, *value) {
            ("type", _) | ("unpack" | "store" | "oci-mediatypes", "true" | "1") => {}
            ("name", name) => names.push(name.to_owned()),
            ("push", value) => push = on_or_off(value).map_err(Error::usage)?,
            ("push-by-digest" | "name-canonical", "false") => {}
            _ => {
                return Err(Error::usage(format!("`{key}={value}` in the output `{text}` is not known"))
                    .with_hint("known for an image are name=NAME and push=BOOL"));
            }
        }
    }
    Ok(OutputFlag::Image { names, push })
}

/// The image of `--cache-from`, as it is or in buildx's form.
pub fn cached_image(text: &str) -> Result<String, String> {
    if !text.starts_with("type=") {
        return Ok(text.to_owned());
    }
    let mut name = None;
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", "registry")) => {}
            Some(("ref", value)) if !value.is_empty() => name = Some(value.to_owned()),
            _ => return Err(format!("`{field}` is not known: it is a REF, or type=registry,ref=NAME")),
        }
    }
    name.ok_or_else(|| "it does not say which image: add ref=NAME".to_owned())
}
