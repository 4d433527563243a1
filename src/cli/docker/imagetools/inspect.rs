//! `docker buildx imagetools inspect`: what a registry has under a name.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::go::{self, named};
use crate::cli::environment::Environment;
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::print::{answer, answer_bytes, answer_lines};
use crate::error::{Error, Result};
use crate::image::Reader;
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, Reference, from_json, media_type};
use crate::progress::silent;
use crate::source::image::Location;
use crate::store::{DocumentBudget, Graph, Store, read_document};

/// Show what a registry has under a name
#[derive(Debug, Args)]
pub struct InspectRemoteArguments {
    /// Name of the image
    #[arg(value_name = "NAME")]
    name: String,
    /// Show it as a Go template says, such as '{{json .Manifest}}', with .Name, .Manifest, .Image, .SBOM and .Provenance
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>, conflicts_with = "raw")]
    format: Option<Format>,
    /// Show the manifest or index as it is
    #[arg(long)]
    raw: bool,
}

/// The types of in-toto statements, as they are and in an envelope.
const STATEMENT: &str = "application/vnd.in-toto+json";
const ENVELOPED: (&str, &str) = ("application/vnd.in-toto.", "+dsse");

/// The annotation of a layer that says of what kind a statement is, and the beginnings of the two kinds that are shown.
const PREDICATE: &str = "in-toto.io/predicate-type";
const SBOM: &str = "https://spdx.dev/Document";
const PROVENANCE: &str = "https://slsa.dev/provenance/";

/// Answers with what the registry has.
pub fn run(arguments: &InspectRemoteArguments, environment: &Environment) -> Result<()> {
    let name: Reference = arguments.name.parse().map_err(Error::on_command_line)?;
    let name = if name.tag().is_none() && name.digest().is_none() { name.with_tag("latest") } else { name };
    let client = environment.client(false, 0);
    let (store, root) = Location::Registry(name.clone()).open(&client, &silent)?;
    let document = read_document(store.as_ref(), &root)?;
    if arguments.raw {
        // On a terminal it does nothing but stand there.
        return match io::stdout().is_terminal() {
            true => answer_lines(String::from_utf8_lossy(&document).lines()),
            false => answer_bytes(&document),
        };
    }
    let remote = RemoteImage { name, store: store.as_ref(), root, document };
    match arguments.format.clone().filter(|format| !format.is("{{.Manifest}}")) {
        Some(format) => answer_lines(format.clone().readable().lines(&[remote.row(&format)?], &[])?),
        None => remote.tell(),
    }
}

/// An image in a registry, whose root is read.
struct RemoteImage<'a> {
    name: Reference,
    store: &'a dyn Store,
    root: Descriptor,
    document: Vec<u8>,
}

impl RemoteImage<'_> {
    /// Answers with buildx's lines.
    fn tell(&self) -> Result<()> {
        let RemoteImage { name, root, .. } = self;
        answer(&format!("Name:      {name}"))?;
        answer(&format!("MediaType: {}", root.media_type))?;
        answer(&format!("Digest:    {}", root.digest))?;
        if !media_type::is_index(&root.media_type) {
            return Ok(());
        }
        let index: ImageIndex = from_json(&name.to_string(), &self.document)?;
        let mut lines = vec![String::new(), "Manifests:".to_owned()];
        let base = match name.digest() {
            Some(_) => name.name(),
            None => name.to_string(),
        };
        for (at, listed) in index.manifests.iter().enumerate() {
            if at > 0 {
                lines.push(String::new());
            }
            lines.push(format!("  Name:      {base}@{}", listed.digest));
            lines.push(format!("  MediaType: {}", listed.media_type));
            if let Some(platform) = &listed.platform {
                lines.push(format!("  Platform:  {platform}"));
                lines.extend(platform.os_version.iter().map(|version| format!("  OSVersion: {version}")));
                let features = Some(&platform.os_features).filter(|features| !features.is_empty());
                lines.extend(features.map(|features| format!("  OSFeatures: {}", features.join(", "))));
            }
            if !listed.annotations.is_empty() {
                let width = listed.annotations.keys().map(|key| key.len() + 1).max().unwrap_or_default();
                lines.push("  Annotations:".to_owned());
                let line = |(key, value): (&String, &String)| format!("    {:width$} {value}", format!("{key}:"));
                lines.extend(listed.annotations.iter().map(line));
            }
        }
        answer_lines(lines)
    }

    /// Returns what a template is shown: of configs and attestations what `format` may ask for.
    fn row(&self, format: &Format) -> Result<Value> {
        let is_index = media_type::is_index(&self.root.media_type);
        let manifest = match is_index {
            false => named(json!(self.root), &go::DESCRIPTOR),
            true => {
                let mut index = json!(from_json::<ImageIndex>(&self.name.to_string(), &self.document)?);
                index["digest"] = json!(self.root.digest);
                index["size"] = json!(self.root.size);
                named(index, &go::INDEX)
            }
        };
        let mut row = json!({"Name": self.name.to_string(), "Manifest": manifest});
        if ["Image", "SBOM", "Provenance"].iter().all(|field| !format.shows(field)) {
            return Ok(row);
        }
        let graph = Graph::of(self.store, &self.root)?;
        let mut reader = Reader::new(self.store);
        let mut budget = DocumentBudget::default();
        let (mut images, mut documents, mut provenances) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (descriptor, bytes) in graph.images() {
            let Some(image) = reader.image_in(descriptor, bytes)? else { continue };
            let platform = descriptor.platform.as_ref().unwrap_or(&image.config.platform).normalised().to_string();
            let config: Value = from_json(
                &format!("config {}", image.manifest.config.digest),
                &reader.document(&image.manifest.config)?,
            )?;
            images.insert(platform.clone(), named(config, &go::CONFIG));
            if format.shows("SBOM") {
                let found = statements(&graph, descriptor.digest, SBOM, self.store, &mut budget)?;
                if let Some((first, others)) = found.split_first() {
                    let sbom = match others {
                        [] => json!({"SPDX": first}),
                        others => json!({"SPDX": first, "AdditionalSPDXs": others}),
                    };
                    documents.insert(platform.clone(), sbom);
                }
            }
            if format.shows("Provenance") {
                let found = statements(&graph, descriptor.digest, PROVENANCE, self.store, &mut budget)?;
                provenances.extend(found.first().map(|first| (platform.clone(), json!({"SLSA": first}))));
            }
        }
        let is_several = images.len() > 1;
        for (field, values) in [("Image", images), ("SBOM", documents), ("Provenance", provenances)] {
            row[field] = match (is_several, values.is_empty()) {
                (_, true) => Value::Null,
                (true, false) => json!(values),
                (false, false) => values.into_values().next().unwrap_or_default(),
            };
        }
        Ok(row)
    }
}

/// Returns the predicates of the statements of a kind that are about an image, as BuildKit attaches them.
fn statements(
    graph: &Graph,
    image: Digest,
    kind: &str,
    store: &dyn Store,
    budget: &mut DocumentBudget,
) -> Result<Vec<Value>> {
    let image = image.to_string();
    let mut found = Vec::new();
    for (at, bytes) in graph.manifests.iter().filter(|(at, _)| at.attested() == Some(image.as_str())) {
        let manifest: ImageManifest = from_json(&format!("manifest {}", at.digest), bytes)?;
        let is_meant = |layer: &&Descriptor| layer.annotations.get(PREDICATE).is_some_and(|own| own.starts_with(kind));
        for layer in manifest.layers.iter().filter(is_meant) {
            let (start, end) = ENVELOPED;
            let is_enveloped = layer.media_type.starts_with(start) && layer.media_type.ends_with(end);
            if layer.media_type != STATEMENT && !is_enveloped {
                continue;
            }
            let what = format!("attestation {}", layer.digest);
            budget.take(layer)?;
            let mut bytes = Vec::new();
            let read = store.open(layer)?.read_to_end(&mut bytes);
            read.map_err(|source| Error::from_read("read", layer.digest.to_string(), source))?;
            if is_enveloped {
                let envelope: Value = from_json(&what, &bytes)?;
                let payload = BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap_or_default());
                bytes =
                    payload.map_err(|source| Error::input(format!("{what} is not an envelope")).with_source(source))?;
            }
            let mut statement: Value = from_json(&what, &bytes)?;
            found.push(statement.get_mut("predicate").map(Value::take).unwrap_or_default());
        }
    }
    Ok(found)
}
