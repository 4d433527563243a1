//! Plans of stages made by hand, built by the library, and what is in the layers that they come to.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flate2::bufread::GzDecoder;
use ocibake::build::{self, Options};
use ocibake::error::{Error, Excerpt, Result};
use ocibake::layer::Compression;
use ocibake::oci::{Descriptor, ImageConfig, ImageManifest, Platform, Settings, from_json};
use ocibake::plan::{
    Base, BaseImage, Context, Copy, CopyItem, Directory, ImagePath, Plan, Provider, Stage, Step, Target, Work,
};
use ocibake::progress::Event;
use ocibake::source::modified::Modified;
use ocibake::store::{Layout, LocalStore, Store, read_document};
use tempfile::TempDir;

use super::handmade::Handmade;
use super::listing::{Kind, Listing, Record};
use super::registry_client::on_demand;
use super::tree::Tree;

/// The time of all that a build makes.
pub const TIME: i64 = 1_700_000_000;

/// A store, and images to build on.
pub struct Workshop {
    pub store: TempDir,
    pub layouts: Vec<Handmade>,
    pub contexts: Vec<(TempDir, Vec<String>)>,
    pub options: Settled,
}

/// What may differ between builds.
pub struct Settled {
    pub modified: Modified,
    pub jobs: usize,
    pub trust_times: bool,
}

/// What came of a build.
pub struct Outcome {
    pub digest: String,
    /// Of each target.
    pub digests: Vec<String>,
    pub images: Vec<Image>,
    pub warnings: Vec<String>,
    /// Titles of steps whose layers were known, and of those that were made.
    pub known: Vec<String>,
    pub made: Vec<String>,
}

pub struct Image {
    pub config: ImageConfig,
    pub manifest: ImageManifest,
    /// Of each layer that the build made.
    pub layers: Vec<Listing>,
}

impl Workshop {
    pub fn new(context: &Tree) -> Self {
        Workshop {
            store: tempfile::tempdir().unwrap(),
            layouts: Vec::new(),
            contexts: vec![(context.plant(), Vec::new())],
            options: Settled { modified: Modified::At(TIME), jobs: 2, trust_times: true },
        }
    }

    /// An image to build on and to take from.
    pub fn image(&mut self, image: Handmade) -> Arc<BaseImage> {
        let layout = Layout::open(image.path()).unwrap();
        let root = layout.resolve(None).unwrap();
        let manifest: ImageManifest = from_json("manifest", &read_document(&layout, &root).unwrap()).unwrap();
        let config = from_json("config", &read_document(&layout, &manifest.config).unwrap()).unwrap();
        self.layouts.push(image);
        let (root, layers) = (root.digest, manifest.layers);
        Arc::new(BaseImage { name: "the/base".to_owned(), root, manifest: root, layers, config })
    }

    pub fn plan(&self, stages: Vec<Stage>) -> Plan {
        let contexts = self.contexts.iter();
        let contexts =
            contexts.map(|(_, ignore)| Context { title: "of the test".to_owned(), ignore: ignore.clone() }).collect();
        let targets = vec![Target { images: vec![stages.len() - 1], created: TIME, ..Target::default() }];
        Plan { stages, contexts, targets }
    }

    pub fn build(&self, stages: Vec<Stage>) -> Outcome {
        self.try_build(&self.plan(stages)).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Builds one stage of these steps on `base`.
    pub fn steps(&self, base: Base, works: Vec<Work>) -> Outcome {
        self.build(vec![stage(base, works)])
    }

    pub fn try_build(&self, plan: &Plan) -> Result<Outcome> {
        let store = LocalStore::open(self.store.path())?;
        let bases = Layouts(self.layouts.iter().map(|layout| Layout::open(layout.path()).unwrap()).collect());
        let (warnings, known, made) = (Mutex::default(), Mutex::default(), Mutex::default());
        let note = |list: &Mutex<Vec<String>>, text: &str| list.lock().unwrap().push(text.to_owned());
        let contexts: Vec<PathBuf> = self.contexts.iter().map(|(root, _)| root.path().to_owned()).collect();
        let client = on_demand();
        let built = build::build(
            plan,
            &Options {
                contexts: &contexts,
                bases: &bases,
                compression: Compression::Gzip(1),
                modified: self.options.modified,
                jobs: self.options.jobs,
                trust_times: self.options.trust_times,
                progress: &|event| match event {
                    Event::Warning { message, .. } => note(&warnings, message),
                    Event::LayerKnown { title, .. } => note(&known, title),
                    Event::LayerStarted { title, .. } => note(&made, title),
                    _ => {}
                },
                ..Options::new(&store, &client)
            },
        )?;
        let images = built.iter().flat_map(|target| &target.images).map(|image| {
            let config: ImageConfig = from_json("config", &image.config.bytes).unwrap();
            let manifest: ImageManifest = from_json("manifest", &image.manifest.bytes).unwrap();
            let layers = manifest.layers.iter().filter_map(|layer| {
                let blob = fs::read(self.store.path().join("blobs/sha256").join(layer.digest.hex())).ok()?;
                Some(Listing::of_tar(GzDecoder::new(&blob[..])))
            });
            Image { layers: layers.collect(), config, manifest }
        });
        Ok(Outcome {
            digest: built[0].root.digest.to_string(),
            digests: built.iter().map(|target| target.root.digest.to_string()).collect(),
            images: images.collect(),
            warnings: warnings.into_inner().unwrap(),
            known: known.into_inner().unwrap(),
            made: made.into_inner().unwrap(),
        })
    }

    /// What building one stage of these steps fails with.
    pub fn error(&self, base: Base, works: Vec<Work>) -> Error {
        match self.try_build(&self.plan(vec![stage(base, works)])) {
            Err(error) => error,
            Ok(_) => panic!("it was built"),
        }
    }

    pub fn context(&self) -> &Path {
        self.contexts[0].0.path()
    }
}

impl Outcome {
    /// The paths of the last layer, in order.
    pub fn last(&self) -> Vec<String> {
        self.layer(self.images[0].layers.len() - 1)
            .0
            .keys()
            .map(|path| String::from_utf8(path.clone()).unwrap())
            .collect()
    }

    pub fn layer(&self, number: usize) -> &Listing {
        &self.images[0].layers[number]
    }

    /// What stands at `path` in the last layer that has it.
    pub fn record(&self, path: &str) -> &Record {
        let layers = self.images[0].layers.iter().rev();
        layers.filter_map(|layer| layer.0.get(path.as_bytes())).next().unwrap_or_else(|| panic!("there is no {path}"))
    }

    /// Type, mode and owner of each path of the last layer, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.images[0].layers.last().map(lines).unwrap_or_default()
    }
}

/// A letter for the type, the mode and the owner of each path, a line each; what a link leads to, and what a file is a hard
/// link of.
pub fn lines(listing: &Listing) -> Vec<String> {
    let line = |(path, record): (&Vec<u8>, &Record)| {
        let (letter, more) = match &record.kind {
            Kind::File { link: Some(first), .. } => ('f', format!(" = {}", first.escape_ascii())),
            Kind::File { .. } => ('f', String::new()),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink { target } => ('l', format!(" -> {}", target.escape_ascii())),
            Kind::Other(name) => (name.chars().next().unwrap(), String::new()),
        };
        let (path, mode, user, group) = (path.escape_ascii(), record.mode, record.user, record.group);
        format!("{letter} {mode:o} {user}:{group} {path}{more}")
    };
    listing.0.iter().map(line).collect()
}

struct Layouts(Vec<Layout>);

impl Store for Layouts {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let opened = self.0.iter().find_map(|layout| layout.open(descriptor).ok());
        opened.ok_or_else(|| Error::not_found(format!("no base has {}", descriptor.digest)))
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }
}

pub fn stage(base: Base, works: Vec<Work>) -> Stage {
    let steps = works.into_iter().enumerate().map(|(number, work)| Step {
        title: format!("step {number}"),
        created_by: None,
        work,
        place: Some(Excerpt::new("Dockerfile", "FROM scratch\nCOPY a b\n", 13..21)),
    });
    Stage {
        title: "it".to_owned(),
        target: None,
        run: Arc::default(),
        platform: Platform::new("linux", "amd64", None),
        base,
        steps: steps.collect(),
        settings: Settings::default(),
        author: None,
        annotations: BTreeMap::new(),
    }
}

/// `COPY pattern… to` from the first context.
pub fn copy(patterns: &[&str], to: &str) -> Copy {
    let items = patterns.iter().map(|pattern| CopyItem::Pattern((*pattern).to_owned())).collect();
    Copy::new(Provider::Context(0), items, destination(to))
}

pub fn destination(to: &str) -> ImagePath {
    let path = to.trim_matches('/').to_owned();
    ImagePath { into: to.ends_with('/'), path }
}

pub fn directory(path: &str, owner: Option<&str>) -> Work {
    Work::Directory(Directory { path: path.to_owned(), owner: owner.map(str::to_owned) })
}
