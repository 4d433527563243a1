//! The last look at resolved targets before they are printed or built: paths in their shortest form, and values that mean
//! something.

use super::entry::OutputEntry;
use super::resolve::ResolvedBake;
use super::target::BakeTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Map, Platform};
use crate::plan::annotation::{self, PlacedAnnotations};
use crate::plan::quantity::{self, Size};
use crate::plan::{GitUrl, ResourceLimit, is_http};
use crate::tree::clean;

/// The prefix of paths that are this machine's wherever a definition comes from.
pub const HERE: &str = "cwd://";

const EPOCH: &str = "SOURCE_DATE_EPOCH";

impl ResolvedBake {
    /// Brings the targets into the form in which they are printed. `remote` is what stands for the context `.` of a definition
    /// that comes from elsewhere, and `epoch` is the time that files and images get where they have none of their own. Fails for
    /// values that mean nothing.
    pub fn settle(&mut self, remote: Option<&str>, epoch: Option<&str>) -> Result<()> {
        for (name, target) in &mut self.targets {
            if let (Some(epoch), None) = (epoch, &target.spec) {
                target.args.entry(EPOCH.to_owned()).or_insert_with(|| Some(epoch.to_owned()));
            }
            let of_target = |error: Error| {
                let kind = if error.kind == ErrorKind::Usage { ErrorKind::Input } else { error.kind };
                Error { message: format!("target {name}: {}", error.message), kind, ..error }
            };
            target.settle(remote).map_err(of_target)?;
        }
        Ok(())
    }
}

impl BakeTarget {
    fn settle(&mut self, remote: Option<&str>) -> Result<()> {
        let mut uses_output = false;
        if self.context.as_deref() == Some("-") {
            return Err(Error::input("context from stdin not allowed in bake"));
        }
        if self.dockerfile.as_deref() == Some("-") {
            return Err(
                Error::input("dockerfile from stdin not allowed in bake").with_hint("`dockerfile-inline` has its text")
            );
        }
        self.has_context_here = self.context.as_ref().is_some_and(|context| context.starts_with(HERE));
        self.context = self.context.take().map(|context| settled_context(&context, remote));
        for text in self.platforms.iter().flatten().flat_map(|text| text.split(',')) {
            if !text.eq_ignore_ascii_case("local") {
                text.parse::<Platform>()?;
            }
        }
        let (mut all, mut placed) = (Map::new(), PlacedAnnotations::default());
        for text in self.annotations.iter().flatten() {
            check_annotation(text)?;
            annotation::set(&mut all, &mut placed, text)?;
        }
        if let Some(text) = &self.shm_size {
            text.parse::<Size>()?;
        }
        for text in self.ulimits.iter().flatten() {
            text.parse::<ResourceLimit>()?;
        }
        self.outputs.iter_mut().flatten().try_for_each(|output| settle_output(output, &mut uses_output))
    }
}

/// Fails for an annotation of a place that there is not: with a place, a key has no colon.
fn check_annotation(text: &str) -> Result<()> {
    const PLACES: [&str; 4] = ["index", "manifest", "index-descriptor", "manifest-descriptor"];
    let key = text.split_once('=').map_or(text, |(key, _)| key);
    let Some((places, _)) = key.split_once(':') else { return Ok(()) };
    for place in places.split(',').map(|place| place.split('[').next().unwrap_or_default()) {
        if !PLACES.contains(&place) {
            let error = Error::input(format!("`{text}`: an annotation cannot be set in `{place}`"));
            return Err(error.with_hint(format!("it is set in {}", PLACES.join(", "))));
        }
    }
    Ok(())
}

/// Returns whether it is a URL of files or of a repository.
pub fn is_remote(context: &str) -> bool {
    is_http(context) || matches!(GitUrl::of_context(context), Ok(Some(_)))
}

fn settled_context(context: &str, remote: Option<&str>) -> String {
    if let Some(path) = context.strip_prefix(HERE) {
        return clean(path);
    }
    if is_remote(context) {
        return context.to_owned();
    }
    match (clean(context), remote) {
        (path, Some(remote)) if path == "." => remote.to_owned(),
        (path, _) => path,
    }
}

/// Files go to standard output where they are told nowhere else to go, of one output alone.
fn settle_output(output: &mut OutputEntry, uses_output: &mut bool) -> Result<()> {
    let is_file = match output.kind.as_str() {
        "local" => false,
        "tar" => true,
        "oci" | "docker" => output.attributes.get("tar").and_then(|text| quantity::boolean(text)) != Some(false),
        _ => return Ok(()),
    };
    let kind = &output.kind;
    if !is_file {
        return match output.destination.as_str() {
            "" => Err(Error::input(format!("dest is required for {kind} exporter"))
                .with_hint(format!("write it as in type={kind},dest=out"))),
            "-" => Err(Error::input(format!("dest cannot be stdout for {kind} exporter"))),
            _ => Ok(()),
        };
    }
    if output.destination.is_empty() && kind != "docker" {
        output.destination = "-".to_owned();
    }
    if output.destination == "-" && std::mem::replace(uses_output, true) {
        return Err(Error::input("multiple outputs configured to write to stdout"));
    }
    Ok(())
}
