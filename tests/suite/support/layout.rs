//! Reads an OCI layout by the image-spec's text alone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::{GzDecoder, MultiGzDecoder};
use ocibake::layer::Compression;
use serde_json::Value;

use super::entry;
use super::listing::{Listing, digest};

/// Of a frame (RFC 8878, 3.1.1), little endian.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub struct Layout {
    directory: PathBuf,
}

/// One image of a layout. The documents are as they stand in it.
pub struct Image {
    /// The manifest's digest.
    pub digest: String,
    pub manifest: Value,
    pub config: Value,
    /// The layers' blobs, the lowest first.
    pub layers: Vec<PathBuf>,
}

impl Layout {
    pub fn open(directory: impl AsRef<Path>) -> Self {
        let layout = Layout { directory: directory.as_ref().to_owned() };
        assert_eq!(layout.read("oci-layout")["imageLayoutVersion"], "1.0.0");
        layout
    }

    /// The descriptors in `index.json`.
    pub fn roots(&self) -> Vec<Value> {
        self.read("index.json")["manifests"].as_array().expect("an index has manifests").clone()
    }

    pub fn blob(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').expect("a digest names its algorithm");
        self.directory.join("blobs").join(algorithm).join(hex)
    }

    /// All images that `index.json` reaches, each once, in the order in which they are reached. Fails if any
    /// descriptor on the way does not hold, or if there are blobs that none leads to.
    pub fn images(&self) -> Vec<Image> {
        let mut images = Vec::new();
        let mut seen = BTreeSet::new();
        for root in self.roots() {
            self.visit(&root, &mut seen, &mut images);
        }
        let blobs = fs::read_dir(self.directory.join("blobs/sha256")).unwrap();
        let blobs: BTreeSet<String> =
            blobs.map(|blob| format!("sha256:{}", blob.unwrap().file_name().to_string_lossy())).collect();
        assert_eq!(blobs, seen, "the blobs (left) are not those that index.json reaches (right)");
        images
    }

    fn visit(&self, descriptor: &Value, seen: &mut BTreeSet<String>, images: &mut Vec<Image>) {
        let name = descriptor["digest"].as_str().expect("a descriptor has a digest");
        let path = self.blob(name);
        let (size, sha256) = digest(File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        assert_eq!((format!("sha256:{sha256}").as_str(), Some(size)), (name, descriptor["size"].as_u64()));
        if !seen.insert(name.to_owned()) {
            return;
        }
        match descriptor["mediaType"].as_str().expect("a descriptor has a media type") {
            "application/vnd.oci.image.index.v1+json" => {
                for child in self.read(&path)["manifests"].as_array().expect("an index has manifests") {
                    self.visit(child, seen, images);
                }
            }
            "application/vnd.oci.image.manifest.v1+json" => {
                let manifest = self.read(&path);
                let layers = manifest["layers"].as_array().expect("a manifest has layers");
                for child in layers.iter().chain([&manifest["config"]]) {
                    self.visit(child, seen, images);
                }
                let blob = |descriptor: &Value| self.blob(descriptor["digest"].as_str().expect("it was read above"));
                let image = Image {
                    digest: name.to_owned(),
                    config: self.read(blob(&manifest["config"])),
                    layers: layers.iter().map(blob).collect(),
                    manifest,
                };
                image.check_layers();
                images.push(image);
            }
            _ => {}
        }
    }

    fn read(&self, path: impl AsRef<Path>) -> Value {
        let path = self.directory.join(path);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Image {
    /// `os/architecture[/variant]` of the config.
    pub fn platform(&self) -> String {
        let parts = ["os", "architecture", "variant"].map(|key| self.config[key].as_str());
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    /// What the layers put into the image, an upper layer's record in place of a lower one's.
    pub fn listing(&self) -> Listing {
        let mut listing = Listing(Default::default());
        for layer in &self.layers {
            listing.0.extend(Listing::of_tar(tar_of(layer)).0);
        }
        listing
    }

    /// What config, history and labels, which have to agree, say of the creation; and the time of the file `path`, which
    /// the lowest layer has.
    pub fn times(&self, path: &str) -> (String, i64) {
        let created = self.config["created"].as_str().unwrap();
        for step in self.config["history"].as_array().unwrap() {
            assert_eq!(step["created"], created);
        }
        // There is no label where nothing says when it was made.
        match &self.config["config"]["Labels"]["org.opencontainers.image.created"] {
            Value::Null => assert_eq!(created, "1970-01-01T00:00:00Z"),
            label => assert_eq!(label, created),
        }
        let mut tar = tar::Archive::new(tar_of(&self.layers[0]));
        let mut entries = tar.entries().unwrap().map(Result::unwrap);
        let entry = entries.find(|entry| entry.path().unwrap() == Path::new(path)).unwrap();
        (created.to_owned(), entry.header().mtime().unwrap() as i64)
    }

    /// The config's diff_ids are those of the layers.
    fn check_layers(&self) {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| format!("sha256:{}", digest(tar_of(layer)).1)).collect();
        let promised = self.config["rootfs"]["diff_ids"].as_array().expect("a config has diff_ids");
        assert_eq!(&diff_ids, promised, "diff_ids of {}", self.digest);
    }
}

/// The tar in a layer's blob, which is gzip's, eStargz's or zstd's.
pub fn tar_of(layer: &Path) -> Box<dyn Read> {
    let blob = fs::read(layer).unwrap();
    if blob.starts_with(&ZSTD_MAGIC) {
        return Box::new(io::Cursor::new(entry::tar_of(&blob, Compression::Zstd(1))));
    }
    // The end of an extra field, before an empty block and the member's trailer (eStargz, "Footer").
    match blob[..blob.len() - 13].ends_with(b"STARGZ") {
        true => Box::new(MultiGzDecoder::new(io::Cursor::new(blob))),
        false => Box::new(GzDecoder::new(io::Cursor::new(blob))),
    }
}
