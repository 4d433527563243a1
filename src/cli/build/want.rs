//! What a build wants of the place that it is in, looked for before it begins.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::stdio::{dup2_stdin, stdin};

use super::find::RecipeKind;
use crate::cli::environment::Environment;
use crate::cli::flags::build::BuildFlags;
use crate::cli::namespace::Want;
use crate::error::{ErrorKind, Result};
use crate::source::context::{ContextLocation, OpenContext, TEXT_LIMIT};
use crate::source::git;

/// Returns what a build wants, as far as it is known before it begins. What cannot be looked at without being fetched or used
/// up may hold a `RUN`; one that an image brings along (`ONBUILD`) is not seen: the program is then started again. Fails where
/// something cannot be read.
pub fn of_build(flags: &BuildFlags, context: Option<&Path>, environment: &Environment) -> Result<Want> {
    let is_spec = |file: &Path| file.extension().is_some_and(|extension| extension == "toml");
    let file = flags.recipe.file.as_deref();
    if file.is_some_and(is_spec) {
        return Ok(Want::Nothing);
    }
    let location = context.map_or(Ok(ContextLocation::Directory(".".into())), |context| match context.to_str() {
        Some(text) => text.parse(),
        None => Ok(ContextLocation::Directory(context.to_owned())),
    });
    let may_run = match location {
        // An error that the build will have, too.
        Err(_) => false,
        Ok(_) if environment.again => true,
        Ok(ContextLocation::Directory(_)) if file == Some(Path::new("-")) => match keep_input() {
            Ok(text) => has_commands(flags, context, &mut &text[..])?,
            Err(_) => false,
        },
        Ok(ContextLocation::Directory(_)) => has_commands(flags, context, &mut io::empty())?,
        Ok(_) => true,
    };
    if may_run {
        git::believe(context.filter(|context| context.is_dir()).unwrap_or(Path::new(".")));
    }
    Ok(if may_run { Want::Commands(flags.run.isolation.unwrap_or_default()) } else { Want::Nothing })
}

/// Returns whether a build of the directory `context`, or of the working directory, is told to run commands by a Dockerfile
/// possibly from `input`. What is wrong with it the build will tell.
fn has_commands(flags: &BuildFlags, context: Option<&Path>, input: &mut dyn Read) -> Result<bool> {
    let opened = OpenContext::local(context.unwrap_or(Path::new(".")));
    match RecipeKind::find(&flags.recipe, context, &opened, &flags.spec, input) {
        Ok(RecipeKind::Dockerfile { dockerfile, .. }) => Ok(dockerfile.has_commands()),
        Err(error) if error.kind == ErrorKind::Io => Err(error),
        Ok(RecipeKind::Spec(_)) | Err(_) => Ok(false),
    }
}

/// Reads the standard input, at most as much of it as a Dockerfile may be, and sees to it that it can be read again.
fn keep_input() -> io::Result<Vec<u8>> {
    let mut input = File::from(stdin().try_clone_to_owned()?).take(TEXT_LIMIT + 1);
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    let mut kept = File::from(memfd_create("standard input", MemfdFlags::CLOEXEC)?);
    kept.write_all(&text)?;
    seek(&kept, SeekFrom::Start(0))?;
    dup2_stdin(&kept)?;
    Ok(text)
}
