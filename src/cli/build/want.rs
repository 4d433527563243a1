//! What a build wants of the place that it is in, looked for before it begins.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::stdio::{dup2_stdin, stdin};

use super::find::{FoundRecipe, RecipeKind, location};
use crate::cli::environment::Environment;
use crate::cli::flags::build::BuildFlags;
use crate::cli::namespace::Want;
use crate::error::{ErrorKind, Result};
use crate::kernel::spare_file;
use crate::run::Sandbox;
use crate::source::context::{ContextLocation, OpenContext, TEXT_LIMIT};
use crate::source::git;

/// What was found out before the program came to its place, and need not be found out again.
#[derive(Debug, Default)]
pub struct Beforehand {
    /// What the build is told by.
    pub recipe: Option<FoundRecipe>,
    /// What commands are run in.
    pub sandbox: Option<Sandbox>,
}

/// Returns what a build wants, as far as it is known before it begins, and its recipe, if that had to be looked at. What cannot
/// be looked at without being fetched or used up may hold a `RUN`; one that an image brings along (`ONBUILD`) is not seen: the
/// program is then started again. Fails where something cannot be read.
pub fn of_build(
    flags: &BuildFlags,
    context: Option<&Path>,
    environment: &Environment,
) -> Result<(Want, Option<FoundRecipe>)> {
    let is_spec = |file: &Path| file.extension().is_some_and(|extension| extension == "toml");
    let file = flags.recipe.file.as_deref();
    if file.is_some_and(is_spec) {
        return Ok((Want::Nothing, None));
    }
    let commands = Want::Commands(flags.run.isolation.unwrap_or_default());
    if !commands.is_elsewhere() {
        return Ok((commands, None));
    }
    let found = match location(context) {
        // An error that the build will have, too.
        Err(_) => return Ok((Want::Nothing, None)),
        Ok(location @ ContextLocation::Directory(_)) if !environment.again => {
            let found = if file == Some(Path::new("-")) {
                keep_input().map_or(Ok(None), |text| find(flags, context, location, &mut &text[..]))
            } else {
                find(flags, context, location, &mut io::empty())
            };
            match found? {
                Some(found) if found.kind.has_commands() => Some(found),
                found => return Ok((Want::Nothing, found)),
            }
        }
        Ok(_) => None,
    };
    git::believe(context.filter(|context| context.is_dir()).unwrap_or(Path::new(".")));
    Ok((commands, found))
}

/// Looks for the recipe of the context at `location`, a directory, possibly in `input`. None is one that is wrong: the build will
/// tell.
fn find(
    flags: &BuildFlags,
    context: Option<&Path>,
    location: ContextLocation,
    input: &mut dyn Read,
) -> Result<Option<FoundRecipe>> {
    let opened = OpenContext::local(context.unwrap_or(Path::new(".")));
    match RecipeKind::find(&flags.recipe, &opened, &flags.spec, input) {
        Ok(kind) => Ok(Some(FoundRecipe { location, kind })),
        Err(error) if error.kind == ErrorKind::Io => Err(error),
        Err(_) => Ok(None),
    }
}

/// Reads the standard input, at most as much of it as a Dockerfile may be, and sees to it that it can be read again.
pub fn keep_input() -> io::Result<Vec<u8>> {
    let mut input = File::from(stdin().try_clone_to_owned()?).take(TEXT_LIMIT + 1);
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    let mut kept = spare_file("standard input")?;
    kept.write_all(&text)?;
    seek(&kept, SeekFrom::Start(0))?;
    dup2_stdin(&kept)?;
    Ok(text)
}
