//! `docker build` and `docker buildx build`.

use crate::cli::build::{self, Beforehand, BuildArguments};
use crate::cli::environment::Environment;
use crate::cli::print::{answer, tell};
use crate::error::{Error, Result};
use crate::oci::Reference;

/// Builds, and says what docker says at the end: to standard output the ID, if nothing else is wanted, or the words of the
/// builder that BuildKit has replaced, if that is asked for.
pub fn run(arguments: &BuildArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let words = arguments.clone().in_dockers_words(environment.docker.default_platform.as_deref());
    let Some(built) = build::build(&words, environment, beforehand)? else { return Ok(()) };
    let (digest, streams) = (built.root.digest, words.streams()?);
    // What goes to standard output goes there alone.
    if streams && (words.is_quiet() || environment.docker.is_classic) {
        return Ok(());
    }
    if words.is_quiet() {
        return answer(&digest.to_string());
    }
    let names = words.names().iter().map(|name| name.parse::<Reference>().map_err(Error::on_command_line));
    let names = names.collect::<Result<Vec<_>>>()?;
    if environment.docker.is_classic {
        answer(&format!("Successfully built {}", digest.hex().chars().take(12).collect::<String>()))?;
        return names.iter().try_for_each(|name| answer(&format!("Successfully tagged {}", name.familiar())));
    }
    tell(&format!("writing image {digest} done"));
    names.iter().for_each(|name| tell(&format!("naming to {} done", name.with_tag(name.tag().unwrap_or("latest")))));
    Ok(())
}
