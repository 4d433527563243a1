//! What a build is told by: a Dockerfile, ocibake.toml, or flags alone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::environment::{Environment, epoch};
use super::epoch::{Contexts, settle};
use super::spec_flags::SpecFlags;
use super::{flag, read_text, value};
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};
use crate::plan::dockerfile::{Dockerfile, Named, Request, SOURCE_DATE_EPOCH, Warning};
use crate::plan::{
    Automatic, Checkout, Context, ContextPlace, FindBase, Lock, NamedContext, Plan, Spec, context_name, dockerignore,
};
use crate::progress::{Event, Progress};
use crate::source::base::Reach;
use crate::source::context::{self, Access, OpenContext};
use crate::source::git;
use crate::source::image::Location;
use crate::tree::Ignore;

/// What a context is looked through for, in this order.
const SPEC: &str = "ocibake.toml";
const DOCKERFILE: &str = "Dockerfile";
const LOWER_CASE: &str = "dockerfile";

/// The image of nothing.
const SCRATCH: &str = "scratch";

/// In bytes; far more than any spec needs, and little enough for what never ends, such as `-f /dev/zero`.
const SPEC_LIMIT: u64 = 1 << 20;

/// What tells a build what to do, beside the context.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct RecipeFlags {
    /// Dockerfile, or spec (*.toml), to build from; - is standard input [default: CONTEXT/ocibake.toml, CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Stage of the Dockerfile to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Give an ARG of the Dockerfile a value; without one, that of the environment variable of this name
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Take NAME in a Dockerfile for a directory, docker-image://REF, oci-layout://DIR[:TAG], a git or an http URL
    #[arg(long, value_name = "NAME=PLACE", value_parser = value::<NamedContext>)]
    build_context: Vec<NamedContext>,
}

/// What a build is told by, read.
pub struct Recipe<'a> {
    kind: Kind,
    flags: &'a RecipeFlags,
    spec_flags: &'a SpecFlags,
    context: OpenContext,
    /// What errors call the context.
    title: String,
    /// Of `--build-context`, those that are directories now.
    directories: Vec<(String, OpenContext)>,
    /// Of `--build-arg`; and of the environment, what buildx gives on.
    arguments: Map<String>,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970, wherever it was said.
    pub epoch: Option<i64>,
}

enum Kind {
    Spec(Box<Spec>),
    Dockerfile { dockerfile: Box<Dockerfile>, ignore: Vec<String> },
}

impl RecipeFlags {
    /// Reads the recipe for a build of `context`; without one, that of the working directory is meant, unless flags say all.
    pub fn read<'a>(
        &'a self,
        context: Option<&Path>,
        spec_flags: &'a SpecFlags,
        environment: &Environment,
        access: &Access<'_>,
    ) -> Result<Recipe<'a>> {
        let location = match context.map(Path::to_str) {
            None => context::Location::Directory(PathBuf::from(".")),
            Some(Some(text)) => text.parse()?,
            Some(None) => context::Location::Directory(context.unwrap_or(Path::new(".")).to_owned()),
        };
        let is_spec_in = |file: &Path| file.extension().is_some_and(|extension| extension == "toml");
        let opened = location.open(access, &mut io::stdin())?;
        let kind = match &self.file {
            None if context.is_none() && spec_flags.add_files() => Kind::Spec(Box::default()),
            Some(file) if is_spec_in(file) => named_spec(&opened, file)?,
            Some(file) if file == Path::new("-") => dockerfile(&opened, context::Named::StandardInput)?,
            Some(file) => dockerfile(&opened, context::Named::File(file))?,
            None if opened.dockerfile.is_some() => dockerfile(&opened, context::Named::Not)?,
            None => in_context(&opened, spec_flags)?,
        };
        let title = match &opened.dockerfile {
            Some(_) => "(it is empty: only a Dockerfile came)".to_owned(),
            None => context.unwrap_or(Path::new(".")).display().to_string(),
        };
        let (directories, arguments) = (Vec::new(), self.arguments()?);
        let mut recipe =
            Recipe { kind, flags: self, spec_flags, context: opened, title, directories, arguments, epoch: None };
        match &mut recipe.kind {
            Kind::Spec(spec) => {
                self.refuse_for_spec()?;
                spec_flags.overlay(spec)?;
                recipe.epoch = environment.source_date_epoch().map(epoch).transpose()?;
            }
            Kind::Dockerfile { dockerfile, .. } => {
                spec_flags.refuse_base()?;
                if let Some(syntax) = &dockerfile.directives.syntax {
                    let message = format!("`# syntax={}` is not fetched: the built-in reader is used", syntax.text);
                    (access.progress)(Event::Warning { message: &message });
                }
                for named in &self.build_context {
                    if let Some(opened) = OpenContext::named(&named.place, access)? {
                        recipe.directories.push((named.name.clone(), opened));
                    }
                }
                let is_from_flag = recipe.arguments.contains_key(SOURCE_DATE_EPOCH);
                if let Some(variable) = environment.source_date_epoch() {
                    recipe.arguments.entry(SOURCE_DATE_EPOCH.to_owned()).or_insert_with(|| variable.to_owned());
                }
                let names: Vec<&str> = self.build_context.iter().map(|named| named.name.as_str()).collect();
                let contexts = Contexts { main: &recipe.context, directories: &recipe.directories, names: &names };
                recipe.epoch = settle(dockerfile, &mut recipe.arguments, is_from_flag, &contexts, access)?;
            }
        }
        Ok(recipe)
    }

    /// The images that take the place of names.
    pub fn images(&self) -> Map<Location> {
        let image = |named: &NamedContext| {
            let location = match &named.place {
                ContextPlace::Image(name) if name != SCRATCH => Location::Registry(name.parse().ok()?),
                ContextPlace::Layout { path, name } => Location::Layout(path.clone(), name.clone()),
                _ => return None,
            };
            Some((named.name.clone(), location))
        };
        self.build_context.iter().filter_map(image).collect()
    }

    fn refuse_for_spec(&self) -> Result<()> {
        let only = |flag: &str| {
            let hint = format!("build from one, with -f {DOCKERFILE}, or leave the flag out");
            Err(Error::usage(format!("{flag} is for Dockerfiles")).with_hint(hint))
        };
        match self {
            RecipeFlags { target: Some(_), .. } => only("--target"),
            RecipeFlags { build_arg, .. } if !build_arg.is_empty() => only("--build-arg"),
            RecipeFlags { build_context, .. } if !build_context.is_empty() => only("--build-context"),
            _ => Ok(()),
        }
    }

    /// Whether `.git` stays in a context that is a repository.
    pub fn keeps_git_dir(&self) -> Result<bool> {
        Ok(self
            .arguments()?
            .get("BUILDKIT_CONTEXT_KEEP_GIT_DIR")
            .is_some_and(|value| matches!(value.as_str(), "1" | "true")))
    }

    /// `--build-arg`, those without a value taken from the environment; a variable that is not set gives none.
    pub fn arguments(&self) -> Result<Map<String>> {
        let mut arguments = Map::new();
        for text in &self.build_arg {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), std::env::var_os(text).map(|value| value.to_string_lossy().into_owned())),
            };
            if name.is_empty() {
                let error = Error::input(format!("`{text}` has no name")).with_hint("write it as in VERSION=1.2");
                return Err(flag("build-arg")(error));
            }
            if let Some(value) = value {
                arguments.insert(name.to_owned(), value);
            }
        }
        Ok(arguments)
    }
}

impl Recipe<'_> {
    /// The directory that it is about.
    pub fn root(&self) -> &Path {
        &self.context.root
    }

    /// Where its bases are locked: beside the file that it is.
    pub fn lock(&self) -> PathBuf {
        match self.file_of_this_machine() {
            Some(file) => file.with_file_name(Lock::FILE),
            None => self.root().join(self.lock_in_context()),
        }
    }

    /// Its lock, if there is one, and what errors call it.
    pub fn open_lock(&self) -> Result<Option<(String, File)>> {
        let (name, file) = match self.file_of_this_machine() {
            Some(file) => {
                let lock = file.with_file_name(Lock::FILE);
                (lock.display().to_string(), self.context.file_beside(&lock)?)
            }
            None => {
                let lock = self.lock_in_context();
                (self.context.shown(&lock).to_string(), self.context.file(&lock)?)
            }
        };
        Ok(file.map(|file| (name, file)))
    }

    /// The file behind `-f`, unless it is looked for in the context.
    fn file_of_this_machine(&self) -> Option<&Path> {
        let file = self.flags.file.as_deref().filter(|file| *file != Path::new("-"));
        file.filter(|file| self.context.is_local || file.is_absolute())
    }

    fn lock_in_context(&self) -> PathBuf {
        let file = self.flags.file.as_deref().filter(|file| *file != Path::new("-"));
        file.unwrap_or(Path::new(Lock::FILE)).with_file_name(Lock::FILE)
    }

    /// Which images it may build on. Only what the user wrote may name those of this machine.
    pub fn reach(&self) -> Reach<'_> {
        match self.kind {
            Kind::Dockerfile { .. } => Reach::None,
            Kind::Spec(_) if self.context.is_local => Reach::Machine(self.root()),
            Kind::Spec(_) if self.spec_flags.names_base() => Reach::Machine(Path::new(".")),
            Kind::Spec(_) => Reach::Within(self.root()),
        }
    }

    /// Whether the context is a directory of the user's.
    pub fn is_local(&self) -> bool {
        self.context.is_local
    }

    /// What git knows of the context; nothing, with a warning, where git will not say.
    pub fn checkout(&self, progress: Progress<'_>) -> Option<Checkout> {
        if self.context.checkout.is_some() || !self.context.is_local {
            return self.context.checkout.clone();
        }
        git::checkout(self.root()).unwrap_or_else(|error| {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let message = format!("no revision, source and commit time from git: {}{hint}", error.message);
            progress(Event::Warning { message: &message });
            None
        })
    }

    /// The spec, if it is one.
    pub fn spec(&self) -> Option<&Spec> {
        match &self.kind {
            Kind::Spec(spec) => Some(spec),
            Kind::Dockerfile { .. } => None,
        }
    }

    /// The plan that it comes to, its build checks told as warnings.
    pub fn plan(&self, automatic: &Automatic, bases: &mut FindBase<'_>, progress: Progress<'_>) -> Result<Plan> {
        let (dockerfile, ignore) = match &self.kind {
            Kind::Spec(spec) => {
                return spec.plan(self.root(), automatic, &mut |name, platform| {
                    let base = bases(name, platform)?;
                    base.mismatch(platform).iter().for_each(|message| progress(Event::Warning { message }));
                    Ok(base)
                });
            }
            Kind::Dockerfile { dockerfile, ignore } => (dockerfile, ignore),
        };
        let lowered = self.with_request(ignore, automatic, |request| dockerfile.lower(request, bases))?;
        for warning in &lowered.warnings {
            let Warning { rule, message, place, .. } = warning;
            let message = format!("{}: {message} ({}:{})", rule.name(), place.file, place.line);
            progress(Event::Warning { message: &message });
        }
        if let (Some(first), true) = (lowered.warnings.first(), dockerfile.directives.check.error) {
            let error = Error::input(format!("{}: {}", first.rule.name(), first.message));
            return Err(error.with_excerpt(first.place.clone()).with_hint("`# check=error=true` makes it one"));
        }
        for name in &lowered.unused {
            let message = format!("the build argument {name} is not used: no ARG names it");
            progress(Event::Warning { message: &message });
        }
        Ok(lowered.plan)
    }

    /// What the build checks find.
    pub fn check(&self, automatic: &Automatic, bases: &mut FindBase<'_>) -> Result<Vec<Warning>> {
        match &self.kind {
            Kind::Spec(_) => Err(Error::usage("--check is for Dockerfiles")),
            Kind::Dockerfile { dockerfile, ignore } => {
                self.with_request(ignore, automatic, |request| dockerfile.check(request, bases))
            }
        }
    }

    fn with_request<T>(
        &self,
        ignore: &[String],
        automatic: &Automatic,
        work: impl FnOnce(&Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut flags = Spec::default();
        self.spec_flags.overlay(&mut flags)?;
        let main = Context { title: self.title.clone(), root: self.context.root.clone(), ignore: ignore.to_vec() };
        let mut contexts = vec![main];
        for (name, opened) in &self.directories {
            let text = context::Dockerfile::ignore(opened)?;
            let ignore = text.map(|text| dockerignore::patterns(text.text.as_bytes())).unwrap_or_default();
            contexts.push(Context { title: name.clone(), root: opened.root.clone(), ignore });
        }
        let named = |name: &str| {
            let name = context_name(name)?;
            if let Some(number) = self.directories.iter().position(|(own, _)| *own == name) {
                return Some(Named::Directory(number + 1));
            }
            match &self.flags.build_context.iter().rfind(|named| named.name == name)?.place {
                ContextPlace::Image(image) if image == SCRATCH => Some(Named::Nothing),
                _ => Some(Named::Image(name)),
            }
        };
        let patterns = Ignore::new(ignore.iter().map(String::as_str))?;
        // What a pattern takes back may lie anywhere below.
        let takes_back = ignore.iter().any(|pattern| pattern.starts_with('!'));
        let request = Request {
            platforms: &flags.platforms,
            build_platform: Platform::host(),
            target: self.flags.target.as_deref(),
            arguments: &self.arguments,
            contexts: &contexts,
            named: &named,
            ignores: &|path| match path {
                _ if takes_back => false,
                // The context itself is out only where a pattern is about all that is in it.
                "" => ignore.iter().any(|pattern| matches!(pattern.as_str(), "*" | "**" | "**/*")),
                path => patterns.matches(path.as_bytes()),
            },
            overlay: &|spec| self.spec_flags.overlay(spec),
            automatic,
        };
        work(&request)
    }
}

fn dockerfile(context: &OpenContext, named: context::Named<'_>) -> Result<Kind> {
    let found = context::Dockerfile::find(context, named, &mut io::stdin())?;
    let dockerfile = Box::new(Dockerfile::read(&found.file.name, found.file.text.as_bytes())?);
    let ignore = found.ignore.map(|text| dockerignore::patterns(text.text.as_bytes())).unwrap_or_default();
    Ok(Kind::Dockerfile { dockerfile, ignore })
}

/// What a context has that tells a build what to do, or else the flags.
fn in_context(context: &OpenContext, spec_flags: &SpecFlags) -> Result<Kind> {
    if let Some(file) = context.file(Path::new(SPEC))? {
        return spec(file, &context.shown(Path::new(SPEC)).to_string());
    }
    if context.has(Path::new(DOCKERFILE))? || context.has(Path::new(LOWER_CASE))? {
        return dockerfile(context, context::Named::Not);
    }
    if spec_flags.add_files() {
        return Ok(Kind::Spec(Box::default()));
    }
    let message = format!("there is no {SPEC} and no {DOCKERFILE} in {}", context.root.display());
    Err(Error::not_found(message)
        .with_hint("name another file with -f, another context, or say it all with --add SRC:DST"))
}

/// The spec behind `-f`: as with a Dockerfile, a relative path is one in a context that came from elsewhere.
fn named_spec(context: &OpenContext, path: &Path) -> Result<Kind> {
    if context.is_local || path.is_absolute() {
        let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
        return spec(file, &path.display().to_string());
    }
    let name = context.shown(path).to_string();
    let file = context.file(path)?.ok_or_else(|| Error::not_found(format!("there is no {name} in the context")))?;
    spec(file, &name)
}

fn spec(file: File, name: &str) -> Result<Kind> {
    let text = read_text(file, name, SPEC_LIMIT, "spec")?;
    Ok(Kind::Spec(Box::new(Spec::parse(name, &text)?)))
}
