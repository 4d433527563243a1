//! Loads into the nodes of clusters on this machine: kind, k3d and minikube. None of them tells what it has.

use std::collections::HashSet;
use std::path::Path;

use tempfile::NamedTempFile;

use super::super::bundle::ReadEntry;
use super::super::sink::Sink;
use super::super::{docker_archive, oci_archive};
use super::containerd::import;
use super::image::{OnePlatform, title};
use super::kind::{EngineKind, EngineProgram};
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::progress::{Event, Progress};

/// Loads `item` by the cluster's own program, which reads an archive from a file, once for each node.
pub(super) fn by_program(
    kind: EngineKind,
    program: &EngineProgram,
    item: &ReadEntry<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let failed = |source| Error::io("write", title(kind), source);
    let file = NamedTempFile::with_suffix(".tar").map_err(failed)?;
    let sink = Sink::Engine(Box::new(file.reopen().map_err(failed)?));
    let path = shown(file.path())?;
    let mut platform = None;
    match kind {
        // What runs in it may be docker.
        EngineKind::Minikube => {
            let image = OnePlatform::of(kind, item)?;
            platform = image.platform.clone();
            let items = std::slice::from_ref(&image.entry);
            docker_archive::write_into(sink, title(kind), items, &HashSet::new(), progress)?;
            program.tell(kind, &["image", "load", path])?;
        }
        EngineKind::K3d => {
            whole(kind, sink, item, progress)?;
            program.tell(kind, &["image", "import", path])?;
        }
        _ => {
            whole(kind, sink, item, progress)?;
            program.tell(kind, &["load", "image-archive", path])?;
        }
    }
    tell(kind, item, platform.as_ref(), progress);
    Ok(())
}

/// Loads `item` into each node of kind's cluster, which is a container of the engine whose `program` this is.
pub(super) fn into_nodes(program: &EngineProgram, item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    let kind = EngineKind::Kind;
    let cluster = program.cluster.as_deref().unwrap_or("kind");
    let label = format!("label=io.x-k8s.kind.cluster={cluster}");
    let listed = program.ask(&["ps", "--filter", &label, "--format", "{{.Names}}"])?.unwrap_or_default();
    let nodes: Vec<&str> = listed.split_whitespace().collect();
    if nodes.is_empty() {
        return Err(Error::not_found(format!("kind has no running cluster called {cluster}"))
            .with_hint("KIND_CLUSTER_NAME says which one is meant; `kind create cluster` makes one"));
    }
    let import = import(item)?;
    for node in nodes {
        let mut arguments = vec!["exec", "--privileged", "-i", node, "ctr", "--namespace=k8s.io"];
        arguments.extend(&import);
        arguments.push("-");
        program.feed(kind, &arguments, |sink| whole(kind, sink, item, progress))?;
    }
    tell(kind, item, None, progress);
    Ok(())
}

fn whole(kind: EngineKind, sink: Sink, item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    oci_archive::write_into(sink, title(kind), std::slice::from_ref(item), &HashSet::new(), progress)
}

fn tell(kind: EngineKind, item: &ReadEntry<'_>, platform: Option<&Platform>, progress: Progress<'_>) {
    for name in item.entry.image.names {
        let (engine, image) = (kind.name(), &name.to_string());
        progress(Event::ImageLoaded { engine, image, platform, was_there: false });
    }
}

fn shown(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::input(format!("{} is not text", path.display())).with_hint("set TMPDIR"))
}
