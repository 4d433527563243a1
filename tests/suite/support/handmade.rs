//! Layers and images put together by hand, entry by entry, as no tool would: what the library makes is not used.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ocibake::error::Result;
use ocibake::oci::Descriptor;
use ocibake::output::{Means, OutputImage};
use ocibake::progress::{Event, silent};
use ocibake::release;
use ocibake::store::{self, Store};
use serde_json::json;
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::listing::digest;
use super::registry_client::on_demand;

/// One entry of a tar, of root, at time 0, with the usual mode.
#[derive(Clone, Debug)]
pub struct Entry {
    path: Vec<u8>,
    kind: EntryType,
    target: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    device: (u32, u32),
    records: Vec<(String, Vec<u8>)>,
}

pub fn entry(kind: EntryType, path: impl AsRef<[u8]>) -> Entry {
    Entry {
        path: path.as_ref().to_owned(),
        kind,
        target: Vec::new(),
        content: Vec::new(),
        mode: if kind == EntryType::Directory { 0o755 } else { 0o644 },
        owner: (0, 0),
        device: (0, 0),
        records: Vec::new(),
    }
}

pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Entry {
    Entry { content: content.as_ref().to_owned(), ..entry(EntryType::Regular, path) }
}

pub fn directory(path: impl AsRef<[u8]>) -> Entry {
    entry(EntryType::Directory, path)
}

pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { target: target.as_ref().to_owned(), ..entry(EntryType::Symlink, path) }
}

pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { target: target.as_ref().to_owned(), ..entry(EntryType::Link, path) }
}

pub fn fifo(path: impl AsRef<[u8]>) -> Entry {
    entry(EntryType::Fifo, path)
}

pub fn device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Entry {
    Entry { device: (major, minor), ..entry(EntryType::Char, path) }
}

impl Entry {
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, user: u64, group: u64) -> Self {
        self.owner = (user, group);
        self
    }

    /// A pax record.
    pub fn record(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.push((key.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The header alone.
    pub fn header(&self) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(0);
        header.set_size(self.content.len() as u64);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        let old = header.as_old_mut();
        // The setters of the tar crate refuse what is to be tried here.
        let length = self.path.len().min(100);
        old.name[..length].copy_from_slice(&self.path[..length]);
        let length = self.target.len().min(100);
        old.linkname[..length].copy_from_slice(&self.target[..length]);
        header.set_cksum();
        header
    }

    fn append(&self, tar: &mut tar::Builder<Vec<u8>>) {
        let mut records = self.records.clone();
        for (key, value) in [("path", &self.path), ("linkpath", &self.target)] {
            if value.len() > 100 {
                records.push((key.to_owned(), value.clone()));
            }
        }
        if !records.is_empty() {
            tar.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice()))).unwrap();
        }
        tar.append(&self.header(), &self.content[..]).unwrap();
    }
}

/// A whole tar.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    entries.iter().for_each(|entry| entry.append(&mut tar));
    tar.into_inner().unwrap()
}

pub const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer as it lies in an image, whatever it holds.
#[derive(Clone)]
pub struct Blob {
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
    /// In hexadecimal.
    pub diff_id: String,
}

impl Blob {
    /// `tar`, stored as `media_type` says.
    pub fn of(tar: &[u8], media_type: &'static str) -> Self {
        let bytes = match media_type {
            PLAIN => tar.to_vec(),
            ZSTD => zstd::stream::encode_all(tar, 3).unwrap(),
            _ => gzip(tar),
        };
        Blob { media_type, bytes, diff_id: digest(tar).1 }
    }
}

/// An OCI layout with one image, `it`, for linux/amd64.
pub struct Handmade {
    directory: TempDir,
}

impl Handmade {
    pub fn new(layers: &[Blob]) -> Self {
        Handmade::configured(layers, json!({"architecture": "amd64", "os": "linux", "config": {}}))
    }

    /// With this configuration; what it says of the layers is added to it.
    pub fn configured(layers: &[Blob], mut config: serde_json::Value) -> Self {
        let this = Handmade { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(this.path().join("blobs/sha256")).unwrap();
        let descriptors: Vec<_> = layers.iter().map(|layer| this.blob(layer.media_type, &layer.bytes)).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = this.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": descriptors});
        let mut manifest = this.blob(manifest_type, manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(this.path().join("index.json"), index.to_string()).unwrap();
        fs::write(this.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        this
    }

    /// An image of layers of these entries, each compressed with gzip.
    pub fn of(layers: &[&[Entry]]) -> Self {
        let blobs: Vec<_> = layers.iter().map(|entries| Blob::of(&tar(entries), GZIP)).collect();
        Handmade::new(&blobs)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its manifest.
    pub fn manifest(&self) -> serde_json::Value {
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path().join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        serde_json::from_slice(&fs::read(self.path().join("blobs").join(digest)).unwrap()).unwrap()
    }

    /// Sets this text in the place of its manifest, and `members` into the descriptor that leads there.
    pub fn put_manifest(&self, text: &str, members: serde_json::Value) {
        let mut manifest = self.blob("application/vnd.oci.image.manifest.v1+json", text.as_bytes());
        for (key, value) in members.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    pub fn blob_path(&self, bytes: &[u8]) -> PathBuf {
        self.path().join("blobs/sha256").join(digest(bytes).1)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        fs::write(self.blob_path(bytes), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{}", digest(bytes).1), "size": bytes.len()})
    }

    /// Writes it to `output`, as `-o` takes it.
    pub fn write(&self, output: &str) -> Result<()> {
        write(&store::Layout::open(self.path())?, output)
    }

    /// The warnings on the way, too.
    pub fn write_watched(&self, output: &str) -> (Result<()>, Vec<String>) {
        let warnings = std::sync::Mutex::new(Vec::new());
        let store = store::Layout::open(self.path()).unwrap();
        let root = store.resolve(None).unwrap();
        let outcome = write_root(&store, &root, output, &|event| {
            if let Event::Warning { message, .. } = event {
                warnings.lock().unwrap().push(message.to_owned());
            }
        });
        (outcome, warnings.into_inner().unwrap())
    }
}

/// Writes the only image of `store` to `output`.
pub fn write(store: &dyn Store, output: &str) -> Result<()> {
    write_root(store, &store.resolve(None)?, output, &silent)
}

pub fn write_root(
    store: &dyn Store,
    root: &Descriptor,
    output: &str,
    progress: ocibake::progress::Progress<'_>,
) -> Result<()> {
    let outputs = [output.parse()?];
    release::write(
        &outputs,
        OutputImage { store, root, names: &[] },
        &Means { client: &on_demand(), jobs: 3, progress },
    )
}
