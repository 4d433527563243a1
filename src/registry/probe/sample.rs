//! The smallest images of each kind, to see which of them a registry takes.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, media_type, to_json};
use crate::store::{Graph, Store};

/// The content of images that are made up.
#[derive(Default)]
pub(super) struct Samples(HashMap<Digest, Vec<u8>>);

const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

impl Samples {
    /// Returns what each kind is called, and one of it.
    pub fn all(&mut self) -> Result<Vec<(&'static str, Graph)>> {
        let failed = |source: io::Error| Error::io("compress", "a sample", source);
        // A tar without members (POSIX, pax: "two 512-octet blocks of zeros").
        let tar = [0; 1024];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&tar).map_err(failed)?;
        let gzip = gzip.finish().map_err(failed)?;
        let zstd = zstd::encode_all(&tar[..], 0).map_err(failed)?;
        let config = to_json(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar)]},
        }));

        let (oci, docker) = (media_type::IMAGE_MANIFEST, media_type::DOCKER_MANIFEST);
        let oci_config = self.blob(media_type::IMAGE_CONFIG, &config);
        let docker_config = self.blob(media_type::DOCKER_CONFIG, &config);
        let gzip_layer = self.blob(media_type::LAYER_GZIP, &gzip);
        let zstd_layer = self.blob(media_type::LAYER_ZSTD, &zstd);
        let docker_layer = self.blob(DOCKER_LAYER, &gzip);
        let empty = self.blob(EMPTY, b"{}");

        let image = self.manifest(oci, &oci_config, &gzip_layer, None);
        let index = self.list(media_type::IMAGE_INDEX, &image);
        let compressed = self.manifest(oci, &oci_config, &zstd_layer, None);
        let docker_image = self.manifest(docker, &docker_config, &docker_layer, None);
        let docker_list = self.list(media_type::DOCKER_MANIFEST_LIST, &docker_image);
        let artifact = self.manifest(oci, &empty, &empty, Some("application/vnd.dev.ocibake.sample"));
        let kinds = [
            ("OCI images", image),
            ("OCI indexes", index),
            ("zstd layers", compressed),
            ("docker images", docker_image),
            ("docker manifest lists", docker_list),
            ("artifacts", artifact),
        ];
        kinds.into_iter().map(|(kind, root)| Ok((kind, Graph::of(self, &root)?))).collect()
    }

    fn blob(&mut self, media_type: &str, content: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, content);
        self.0.insert(descriptor.digest, content.to_vec());
        descriptor
    }

    fn manifest(&mut self, kind: &str, config: &Descriptor, layer: &Descriptor, artifact: Option<&str>) -> Descriptor {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        if let Some(artifact) = artifact {
            manifest["artifactType"] = Value::from(artifact);
        }
        self.blob(kind, &to_json(&manifest))
    }

    fn list(&mut self, kind: &str, image: &Descriptor) -> Descriptor {
        let mut entry = json!(image);
        entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
        self.blob(kind, &to_json(&json!({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})))
    }
}

impl Store for Samples {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let missing = || Error::not_found(format!("there is no sample {}", descriptor.digest));
        Ok(Box::new(Cursor::new(self.0.get(&descriptor.digest).ok_or_else(missing)?)))
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("samples have no names"))
    }
}
