//! What a build is told by, looked for where flags and the context say.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cli::flags::recipe::RecipeFlags;
use crate::cli::flags::spec::SpecFlags;
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::plan::dockerfile::Dockerfile;
use crate::plan::{Spec, dockerignore};
use crate::source::context::{ContextLocation, DockerfilePlace, DockerfileSource, OpenContext};

/// The files that a context is looked through for, in this order.
const SPEC: &str = Spec::FILE;
const DOCKERFILE: &str = "Dockerfile";
const LOWER_CASE: &str = "dockerfile";

/// The largest spec, in bytes; far more than any spec needs, and little enough for what never ends, such as `-f /dev/zero`.
const SPEC_LIMIT: u64 = 1 << 20;

/// A Dockerfile or a spec; that of flags alone is a spec, too.
#[derive(Debug, Clone)]
pub enum RecipeKind {
    Spec(Box<Spec>),
    Dockerfile { dockerfile: Box<Dockerfile>, ignore: Vec<String> },
}

/// A recipe, and the context that it was found for.
#[derive(Debug, Clone)]
pub struct FoundRecipe {
    pub location: ContextLocation,
    pub kind: RecipeKind,
}

/// Returns where the context is that is `context` if one was named.
pub fn location(context: Option<&Path>) -> Result<ContextLocation> {
    match context.map(|context| (context, context.to_str())) {
        None => Ok(ContextLocation::Directory(PathBuf::from("."))),
        Some((_, Some(text))) => text.parse(),
        Some((context, None)) => Ok(ContextLocation::Directory(context.to_owned())),
    }
}

impl RecipeKind {
    /// Returns what tells a build of `opened` what to do. Fails if nothing does, and if it cannot be read.
    pub fn find(
        flags: &RecipeFlags,
        opened: &OpenContext,
        spec_flags: &SpecFlags,
        input: &mut dyn Read,
    ) -> Result<Self> {
        let is_spec_in = |file: &Path| file.extension().is_some_and(|extension| extension == "toml");
        match &flags.file {
            Some(file) if is_spec_in(file) => named_spec(opened, file),
            Some(file) if file == Path::new("-") => dockerfile(opened, DockerfilePlace::StandardInput, input),
            Some(file) => dockerfile(opened, DockerfilePlace::File(file), input),
            None if opened.dockerfile.is_some() => dockerfile(opened, DockerfilePlace::Not, input),
            None => in_context(flags, opened, spec_flags),
        }
    }

    /// Returns whether it says itself that commands are to be run.
    pub fn has_commands(&self) -> bool {
        matches!(self, RecipeKind::Dockerfile { dockerfile, .. } if dockerfile.has_commands())
    }
}

/// Fails for flags that a spec has no use for.
pub fn refuse_flags_of_dockerfiles(flags: &RecipeFlags) -> Result<()> {
    let only = |flag: &str| {
        let hint = format!("build from one, with -f {DOCKERFILE}, or leave the flag out");
        Err(Error::usage(format!("{flag} is only for Dockerfiles")).with_hint(hint))
    };
    match flags {
        RecipeFlags { target: Some(_), .. } => only("--target"),
        RecipeFlags { build_arg, .. } if !build_arg.is_empty() => only("--build-arg"),
        RecipeFlags { git_args: Some(true), .. } => only("--git-args"),
        RecipeFlags { build_context, .. } if !build_context.is_empty() => only("--build-context"),
        _ => Ok(()),
    }
}

fn dockerfile(context: &OpenContext, named: DockerfilePlace<'_>, input: &mut dyn Read) -> Result<RecipeKind> {
    let found = DockerfileSource::find(context, named, input)?;
    let dockerfile = Box::new(Dockerfile::read(&found.file.name, found.file.text.as_bytes())?);
    let ignore = found.ignore.map(|text| dockerignore::patterns(text.text.as_bytes())).unwrap_or_default();
    Ok(RecipeKind::Dockerfile { dockerfile, ignore })
}

/// Returns the spec or the Dockerfile of a context, and else a spec of the flags alone if these add files.
fn in_context(flags: &RecipeFlags, context: &OpenContext, spec_flags: &SpecFlags) -> Result<RecipeKind> {
    let has_dockerfile = dockerfile_in(context)?.is_some();
    if !(flags.prefers_dockerfile && has_dockerfile)
        && let Some(file) = context.file(Path::new(SPEC))?
    {
        return spec(file, &context.shown(Path::new(SPEC)).to_string());
    }
    if has_dockerfile {
        return dockerfile(context, DockerfilePlace::Not, &mut io::empty());
    }
    if spec_flags.add_files() {
        return Ok(RecipeKind::Spec(Box::default()));
    }
    let message = format!("there is no {SPEC} and no {DOCKERFILE} in {}", context.root.display());
    Err(Error::not_found(message)
        .with_hint("name another file with -f, another context, or say it all with --add SRC:DST"))
}

/// Returns the name of the Dockerfile that a context has, if it has one.
fn dockerfile_in(context: &OpenContext) -> Result<Option<&'static str>> {
    for name in [DOCKERFILE, LOWER_CASE] {
        if context.has(Path::new(name))? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Returns the file that a build of `context` takes and the one that it leaves, where no flag says which and there are both.
pub fn taken_and_left(flags: &RecipeFlags, context: &OpenContext) -> Result<Option<(&'static str, &'static str)>> {
    if flags.file.is_some() || context.dockerfile.is_some() || !context.has(Path::new(SPEC))? {
        return Ok(None);
    }
    let both = |dockerfile| if flags.prefers_dockerfile { (dockerfile, SPEC) } else { (SPEC, dockerfile) };
    Ok(dockerfile_in(context)?.map(both))
}

/// The spec behind `-f`: as with a Dockerfile, a relative path is one in a context that came from elsewhere.
fn named_spec(context: &OpenContext, path: &Path) -> Result<RecipeKind> {
    if context.is_local || path.is_absolute() {
        let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
        return spec(file, &path.display().to_string());
    }
    let name = context.shown(path).to_string();
    let file = context.file(path)?.ok_or_else(|| Error::not_found(format!("there is no {name} in the context")))?;
    spec(file, &name)
}

fn spec(file: File, name: &str) -> Result<RecipeKind> {
    let text = read_text(file, name, SPEC_LIMIT, "spec")?;
    Ok(RecipeKind::Spec(Box::new(Spec::parse(name, &text)?)))
}
