//! ocibake builds OCI images from plain files and Dockerfiles, and brings them to registries, layouts and archives.
//!
//! ```text
//!  flags + ocibake.toml ─┐
//!  Dockerfile ───────────┴─► Plan ──► build ──► Store ──► Output ───────────► Release
//!                           (data)   (layers,  (blobs,   (registry, OCI       (tags: plan,
//!                                     images,   local)    layout, archives,    ratchet,
//!                                     index)              files, engine)       flip)
//! ```
//!
//! Data flows one way. A front end turns what the user wrote into a [`plan::Plan`] and nothing else; [`build`] writes
//! only to the local store; an [`output`] only reads a store; a [`release`] sets tags, once every output has all of its
//! content.
//!
//! # The modules
//!
//! A module uses only modules that stand above it in this list (`tests/suite/architecture/mod.rs` holds the order):
//!
//! | module | what it is for |
//! |---|---|
//! | [`error`] | the one error type: what failed, where, and what to do about it |
//! | [`sync`] | what threads share: locks, and values that one of them makes for all |
//! | [`kernel`] | what systems do each in their own way |
//! | [`oci`] | the nouns of the OCI specifications as plain data |
//! | [`progress`] | what a running build or push says of itself |
//! | [`net`] | HTTP, for all who need it |
//! | [`tree`] | the file tree: what a file system holds, and what may be done to it |
//! | [`plan`] | what is to be built, as plain data, and the front ends that read it |
//! | [`layer`] | from file-system entries to compressed layers, and back |
//! | [`store`] | places that content is kept in and read from |
//! | [`registry`] | registries, over the distribution API |
//! | [`image`] | images as documents: read, made, joined to an index, put on another base |
//! | [`source`] | the places that content comes from: contexts, downloads, repositories, images |
//! | [`run`] | a command in a sandbox, on a root file system of directories |
//! | [`build`] | from a plan to blobs in the local store |
//! | [`output`] | the places that finished images go to |
//! | [`release`] | the tags that stand for images in registries |
//! | [`inspect`] | what is in an image, and what differs between layers |
//! | [`serve`] | the images of a place, given out as a registry gives them |
//! | [`cli`] | the command line |
//!
//! # To build an image
//!
//! An `ocibake.toml` becomes a plan; the plan becomes blobs in a local store; and the store's image is written to an OCI
//! layout. [`Dockerfile`](plan::dockerfile::Dockerfile) is the other front end.
//!
//! ```
//! use ocibake::build::{self, Options};
//! use ocibake::output::{OutputImage, Means, Output};
//! use ocibake::plan::{Automatic, Spec};
//! use ocibake::registry::{self, OnDemand};
//! use ocibake::release;
//! use ocibake::store::{Layout, LocalStore, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = tempfile::tempdir()?;
//! let context = place.path().join("context");
//! std::fs::create_dir(&context)?;
//! std::fs::write(context.join("greeting"), "hello\n")?;
//!
//! let spec = Spec::parse(
//!     "ocibake.toml",
//!     r#"
//!     platforms = ["linux/amd64", "linux/arm64"]
//!
//!     [[layer]]
//!     add = [{ from = "greeting", to = "/etc/greeting" }]
//!
//!     [config]
//!     cmd = ["/bin/cat", "/etc/greeting"]
//!     "#,
//! )?;
//! let mut no_base = |_: &str, _: &_| unreachable!("the image stands on scratch");
//! let plan = spec.plan("of the example", &Automatic::default(), &mut no_base)?;
//!
//! let store = LocalStore::open(place.path().join("store"))?;
//! let client = OnDemand::new(registry::RegistryOptions::default());
//! let options = Options { contexts: &[context], ..Options::new(&store, &client) };
//! let built = build::build(&plan, &options)?;
//!
//! let outputs = [Output::Layout(place.path().join("layout"))];
//! let name = "registry.example/org/greeting:1.0.0".parse()?;
//! let image = OutputImage { store: &store, root: &built[0].root, names: &[name] };
//! release::write(&outputs, image, &Means { client: &client, jobs: 0, progress: &|_| () })?;
//!
//! let layout = Layout::open(place.path().join("layout"))?;
//! assert_eq!(layout.resolve(None)?.digest, built[0].root.digest);
//! assert_eq!(built[0].images.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # To push an image
//!
//! The registry is one of the outputs: all content goes there first, and then the names stand for the image. What is
//! pushed may lie in any store; here it is an OCI layout. [`Release`](release::Release) pushes under all tags of a version.
//!
//! ```no_run
//! use ocibake::output::{OutputImage, Means, Output};
//! use ocibake::registry::{Credentials, OnDemand, RegistryOptions};
//! use ocibake::release;
//! use ocibake::source::image::Location;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = Credentials::from_docker_config(Some("/home/me/.docker".into()));
//! let client = OnDemand::new(RegistryOptions { credentials, ..RegistryOptions::default() });
//! let layout: Location = "oci:greeting".parse()?;
//! let (store, root) = layout.open(&client, &|_| ())?;
//!
//! let name = "registry.example/org/greeting:1.0.0".parse()?;
//! let image = OutputImage { store: store.as_ref(), root: &root, names: &[name] };
//! release::write(&[Output::Registry], image, &Means { client: &client, jobs: 0, progress: &|_| () })?;
//! # Ok(())
//! # }
//! ```
//!
//! # To copy images
//!
//! A [`Collection`](source::collection::Collection) reads images from wherever they are, with all their platforms and under
//! their names; a [`Bundle`](output::Bundle) of them goes to any outputs.
//!
//! ```
//! use ocibake::output::{Bundle, BundleEntry, OutputImage, Means, Names, Output};
//! use ocibake::registry::{OnDemand, RegistryOptions};
//! use ocibake::release;
//! use ocibake::source::collection::{Collection, ImageChoice};
//! use ocibake::source::image::Location;
//! use ocibake::store::{Layout, Store};
//!
//! # fn make_layout(place: &std::path::Path, name: &str) -> ocibake::error::Result<()> {
//! #     let client = OnDemand::new(RegistryOptions::default());
//! #     let store = ocibake::store::LocalStore::open(place.join("store"))?;
//! #     let mut no_base = |_: &str, _: &_| unreachable!("the image stands on scratch");
//! #     let plan = ocibake::plan::Spec::default().plan("", &Default::default(), &mut no_base)?;
//! #     let options = ocibake::build::Options::new(&store, &client);
//! #     let built = ocibake::build::build(&plan, &options)?;
//! #     let image = OutputImage { store: &store, root: &built[0].root, names: &[name.parse()?] };
//! #     let means = Means { client: &client, jobs: 1, progress: &|_| () };
//! #     release::write(&[Output::Layout(place.join("from"))], image, &means)
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = tempfile::tempdir()?;
//! let (from, to) = (place.path().join("from"), place.path().join("to"));
//! # make_layout(place.path(), "registry.example/org/greeting:1.0.0")?;
//! let client = OnDemand::new(RegistryOptions::default());
//! let mut collection = Collection::new(&client, &|_| ());
//! let source = Location::Layout(from.clone(), None);
//! collection.add(&source.to_string(), &source, ImageChoice::default())?;
//!
//! let names: Vec<Names> = collection.images.iter().map(|found| Names::kept(&found.image)).collect();
//! let entries = collection.images.iter().zip(&names).map(|(found, names)| BundleEntry {
//!     image: OutputImage { store: &collection.content, root: &found.image.root, names: &names.full },
//!     short_names: &names.short,
//!     referrers: &found.referrers,
//! });
//! let bundle = Bundle { entries: entries.collect(), left_out: None };
//! let means = Means { client: &client, jobs: 0, progress: &|_| () };
//! release::write_all(&[Output::Layout(to.clone())], &bundle, &means)?;
//!
//! let name = Some("registry.example/org/greeting:1.0.0");
//! assert_eq!(Layout::open(to)?.resolve(name)?.digest, Layout::open(from)?.resolve(name)?.digest);
//! # Ok(())
//! # }
//! ```
//!
//! # What is never true
//!
//! - a blob that depends on a clock, host name, locale, thread count, cache or the file system's order;
//! - a name (of a blob, a layout, an archive, a tag) that stands for something half done;
//! - a blob that goes from the local store while a build or a push relies on it;
//! - bytes from elsewhere that are used without their digest checked;
//! - the library printing, reading the environment or touching the terminal: `cli` alone does;
//! - async outside of `net` and `serve`.

#![warn(missing_docs)]

pub mod error;
pub mod sync;
pub mod kernel;
pub mod oci;
pub mod progress;
pub mod net;
pub mod tree;
pub mod plan;
pub mod layer;
pub mod store;
pub mod registry;
pub mod image;
pub mod source;
pub mod run;
pub mod build;
pub mod output;
pub mod release;
pub mod inspect;
pub mod serve;
pub mod cli;
