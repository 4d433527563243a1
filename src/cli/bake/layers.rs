//! A target that is made of layers, as the flags that a build has.

use std::path::PathBuf;

use super::remote::RemoteFiles;
use crate::cli::flags::recipe::RecipeFlags;
use crate::error::{Error, Result};
use crate::plan::bake::BakeTarget;
use crate::plan::{Spec, SpecBase};
use crate::source::image;

/// Returns the spec of `target`, and the flags that go with it; none for one that has a Dockerfile. Fails for a definition from
/// elsewhere that names an image of this machine.
pub fn spec_of(target: &BakeTarget, remote: Option<&RemoteFiles>) -> Result<Option<(Box<Spec>, RecipeFlags)>> {
    let Some(spec) = &target.spec else { return Ok(None) };
    if let (SpecBase::Image(name), Some(_)) = (&spec.base, remote)
        && (image::is_path(name) || image::kind(name).is_some())
    {
        let message = format!("the base {name} is on this machine, but the definition comes from elsewhere");
        return Err(Error::input(message).with_hint("name an image in a registry instead"));
    }
    let file = target.table.as_ref().filter(|_| remote.is_none()).map_or("-", |place| &place.file);
    let flags = RecipeFlags { file: Some(PathBuf::from(file)), ..RecipeFlags::default() };
    Ok(Some((spec.clone(), flags)))
}

/// Returns a warning for each key that only a Dockerfile has a use for.
pub fn unused_keys(name: &str, target: &BakeTarget) -> Vec<String> {
    let keys = [
        ("dockerfile", target.dockerfile.is_some() || target.dockerfile_inline.is_some()),
        ("target", target.target.is_some()),
        ("args", !target.args.is_empty()),
        ("contexts", !target.contexts.is_empty()),
        ("secret", target.secrets.is_some()),
        ("ssh", target.ssh.is_some()),
        ("network", target.network.is_some()),
        ("no-cache-filter", target.no_cache_filter.is_some()),
        ("shm-size", target.shm_size.is_some()),
        ("ulimits", target.ulimits.is_some()),
        ("extra-hosts", !target.extra_hosts.is_empty()),
    ];
    let warning = |key: &str| format!("`{key}` of the target {name} changes nothing: it is made of layers");
    keys.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| warning(key)).collect()
}
