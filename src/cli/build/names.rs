//! The names that an image is given.

use crate::cli::flags::output::OutputFlags;
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::plan::version;
use crate::release::tag;

/// The names that an image is to have.
#[derive(Debug, Default)]
pub struct GivenNames {
    pub names: Vec<Reference>,
    /// Those that get the image under its digest, without a tag.
    pub repositories: Vec<Reference>,
    /// The first tag that is a version, else the first.
    pub tag: Option<String>,
}

impl GivenNames {
    /// Reads `tags`, and the names that `output` gives an image.
    pub fn read(tags: &[String], output: &OutputFlags) -> Result<Self> {
        let mut tags: Vec<String> = tags.iter().cloned().chain(output.names()).collect();
        let repositories = match output.is_by_digest() {
            true => tags.drain(..).map(|name| untagged(&name)).collect::<Result<Vec<_>>>()?,
            false => Vec::new(),
        };
        let named = tags.iter().map(|name| tag::split_name(name).map_err(Error::on_command_line));
        let named = named.collect::<Result<Vec<_>>>()?;
        let mut names = Vec::with_capacity(named.len());
        for (repository, tag) in &named {
            for tag in tag::alone(tag.as_deref().unwrap_or("latest")).map_err(Error::on_command_line)?.tags {
                let name = repository.with_tag(&tag.name);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let versions = || named.iter().filter_map(|(_, tag)| tag.clone());
        let tag = versions().find(|tag| version::of_tag(tag).is_some()).or_else(|| versions().next());
        Ok(GivenNames { names, repositories, tag })
    }
}

/// Reads the name of a repository that gets an image under its digest.
fn untagged(name: &str) -> Result<Reference> {
    let repository: Reference = name.parse().map_err(Error::on_command_line)?;
    match (repository.tag(), repository.digest()) {
        (None, None) => Ok(repository),
        _ => Err(Error::usage(format!("can't push tagged ref {name} by digest"))
            .with_hint("leave out the tag, or push-by-digest=true")),
    }
}
