//! What a build is told by: a Dockerfile, ocibake.toml, or flags alone.

use std::fs::File;
use std::io::Read;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::epoch::{EpochContexts, settle};
use super::find::{FoundRecipe, RecipeKind, location, refuse_flags_of_dockerfiles, taken_and_left};
use super::warn;
use crate::build::check_sources;
use crate::cli::ci::CiCommit;
use crate::cli::docker_proxies;
use crate::cli::environment::{Environment, epoch};
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::recipe::{RecipeFlags, SCRATCH};
use crate::cli::flags::run::RunFlags;
use crate::cli::flags::spec::SpecFlags;
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};
use crate::plan::dockerfile::{
    Dockerfile, LoweringRequest, NamedSource, OfferedStage, Outline, SOURCE_DATE_EPOCH, Text, Warning,
};
use crate::plan::{
    Automatic, BaseLock, Checkout, Context, ContextPlace, FindBase, LinkedTarget, Plan, RunSettings, Spec, SpecBase,
    context_name, dockerignore, label,
};
use crate::progress::{Event, Progress, WarningKind};
use crate::source::base::BaseReach;
use crate::source::context::{ContextAccess, DockerfileSource, OpenContext};
use crate::source::git;
use crate::tree::Ignore;

/// The targets that contexts are the images of, by their names.
pub type LinkedTargets = Map<Arc<LinkedTarget>>;

/// All that tells a build what to do, read.
pub struct Recipe<'a> {
    kind: RecipeKind,
    flags: &'a RecipeFlags,
    run_flags: &'a RunFlags,
    spec_flags: &'a SpecFlags,
    context: OpenContext,
    /// The context's name in errors.
    title: String,
    /// The contexts of `--build-context` that are directories now.
    directories: Vec<(String, OpenContext)>,
    /// The values of `--build-arg`, and those that buildx takes from the environment and from docker's configuration.
    arguments: Map<String>,
    /// It is a spec that says nothing, but for what flags lay over it.
    is_blank: bool,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970, wherever it was said.
    pub epoch: Option<i64>,
    /// The image is to be a version of something: `--git-args` is on where it is not given.
    pub is_release: bool,
    /// What a CI service says of the commit.
    ci: CiCommit,
}

impl<'a> Recipe<'a> {
    /// Reads the recipe for a build of `context`; without one, that of the working directory is meant. Where flags alone add
    /// files, and there is no recipe, they say all. `input` is what `-` means.
    /// One that was `found` for the same build is taken as it was read.
    pub fn read(
        BuildFlags { recipe: flags, run: run_flags, spec: spec_flags, .. }: &'a BuildFlags,
        context: Option<&Path>,
        found: Option<&FoundRecipe>,
        input: &mut dyn Read,
        environment: &Environment,
        access: &ContextAccess<'_>,
    ) -> Result<Self> {
        let location = found.map_or_else(|| location(context), |found| Ok(found.location.clone()))?;
        let opened = location.open(access, input)?;
        let kind = match found {
            Some(found) => found.kind.clone(),
            None => RecipeKind::find(flags, &opened, spec_flags, input)?,
        };
        if let Some((taken, left)) = taken_and_left(flags, &opened)? {
            (access.progress)(Event::RecipeTaken { taken, left });
        }
        let title = match &opened.dockerfile {
            Some(_) => "(it is empty: only a Dockerfile was given)".to_owned(),
            None => context.unwrap_or(Path::new(".")).display().to_string(),
        };
        let (directories, arguments) = (Vec::new(), flags.arguments()?);
        let mut recipe = Recipe {
            kind,
            flags,
            run_flags,
            spec_flags,
            context: opened,
            title,
            directories,
            arguments,
            is_blank: false,
            epoch: None,
            is_release: false,
            ci: environment.ci.clone(),
        };
        recipe.complete(environment, access)?;
        Ok(recipe)
    }

    /// Lays flags and environment over what was read, opens the contexts of `--build-context`, and finds out the epoch.
    fn complete(&mut self, environment: &Environment, access: &ContextAccess<'_>) -> Result<()> {
        match &mut self.kind {
            RecipeKind::Spec(spec) => {
                refuse_flags_of_dockerfiles(self.flags)?;
                self.is_blank = **spec == Spec::default();
                self.spec_flags.overlay(spec)?;
                self.epoch = environment.source_date_epoch().map(epoch).transpose()?;
            }
            RecipeKind::Dockerfile { dockerfile, .. } => {
                self.spec_flags.refuse_base()?;
                if let Some(syntax) = dockerfile.directives.foreign_syntax() {
                    let message = format!("`# syntax={}` is not fetched: the built-in reader is used", syntax.text);
                    (access.progress)(Event::Warning { kind: WarningKind::SyntaxNotFetched, message: &message });
                }
                for named in &self.flags.build_context {
                    if let Some(opened) = OpenContext::named(&named.place, access)? {
                        self.directories.push((named.name.clone(), opened));
                    }
                }
                docker_proxies::add(environment.docker_config.as_deref(), &mut self.arguments);
                let is_from_flag = self.arguments.contains_key(SOURCE_DATE_EPOCH);
                if let Some(variable) = environment.source_date_epoch() {
                    self.arguments.entry(SOURCE_DATE_EPOCH.to_owned()).or_insert_with(|| variable.to_owned());
                }
                let names: Vec<&str> = self.flags.build_context.iter().map(|named| named.name.as_str()).collect();
                let contexts = EpochContexts { main: &self.context, directories: &self.directories, names: &names };
                self.epoch = settle(dockerfile, &mut self.arguments, is_from_flag, &contexts, access)?;
            }
        }
        Ok(())
    }
}

impl Recipe<'_> {
    /// Returns the directory of the context.
    pub fn root(&self) -> &Path {
        &self.context.root
    }

    /// Returns the path of the lock of its bases: beside the file that it is.
    pub fn lock(&self) -> PathBuf {
        match self.file_of_this_machine() {
            Some(file) => file.with_file_name(BaseLock::FILE),
            None => self.root().join(self.lock_in_context()),
        }
    }

    /// Opens its lock, and returns it with its name in errors; none if there is no lock.
    pub fn open_lock(&self) -> Result<Option<(String, File)>> {
        let (name, file) = match self.file_of_this_machine() {
            Some(file) => {
                let lock = file.with_file_name(BaseLock::FILE);
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
        file.unwrap_or(Path::new(BaseLock::FILE)).with_file_name(BaseLock::FILE)
    }

    /// Returns which images it may build on. Only what the user wrote may name those of this machine.
    pub fn reach(&self) -> BaseReach<'_> {
        match self.kind {
            RecipeKind::Dockerfile { .. } => BaseReach::None,
            RecipeKind::Spec(_) if self.context.is_local => BaseReach::Machine(self.root()),
            RecipeKind::Spec(_) if self.spec_flags.names_base() => BaseReach::Machine(Path::new(".")),
            RecipeKind::Spec(_) => BaseReach::Within(self.root()),
        }
    }

    /// Returns whether the context is a directory of the user's.
    pub fn is_local(&self) -> bool {
        self.context.is_local
    }

    /// Returns what git knows of the context, or a CI service where git does not; none where there is no checkout and, with a
    /// warning, where git will not say.
    pub fn checkout(&self, progress: Progress<'_>) -> Option<Checkout> {
        if self.context.checkout.is_some() || !self.context.is_local {
            return self.context.checkout.clone();
        }
        let found = git::checkout(self.root()).unwrap_or_else(|error| {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let message = format!("cannot take revision, source and commit time from git: {}{hint}", error.message);
            progress(Event::Warning { kind: WarningKind::RevisionUnknown, message: &message });
            None
        });
        self.ci.complete(found, self.root())
    }

    /// Returns where the contexts of its plan lie, in their order.
    pub fn roots(&self) -> Vec<PathBuf> {
        let others = self.directories.iter().map(|(_, opened)| opened.root.clone());
        iter::once(self.context.root.clone()).chain(others).collect()
    }

    /// Returns the spec; none for a Dockerfile.
    pub fn spec(&self) -> Option<&Spec> {
        match &self.kind {
            RecipeKind::Spec(spec) => Some(spec),
            RecipeKind::Dockerfile { .. } => None,
        }
    }

    /// Returns what its commands are given. Fails for what is not there.
    pub fn run_settings(&self) -> Result<RunSettings> {
        self.run_flags.settings(&self.arguments)
    }

    /// Returns its plan, and tells what its build checks find as warnings. Fails for what the plan of a spec or of a
    /// Dockerfile fails for, and for a warning that the Dockerfile calls an error.
    pub fn plan(
        &self,
        automatic: &Automatic,
        bases: &mut FindBase<'_>,
        linked: &LinkedTargets,
        progress: Progress<'_>,
    ) -> Result<Plan> {
        let (dockerfile, ignore) = match &self.kind {
            RecipeKind::Spec(spec) => {
                let nothing = Spec { platforms: spec.platforms.clone(), index: spec.index, ..Spec::default() };
                if self.is_blank && **spec == nothing {
                    let message = format!("the spec in {} is empty: there is nothing to build", self.title);
                    return Err(
                        Error::input(message).with_hint("name a base, or files to add; --add SRC:DST adds some, too")
                    );
                }
                warn::of_labels(&label::faults(&spec.labels), progress);
                let spec = linked_spec(spec, linked, progress);
                return spec.plan(&self.title, automatic, &mut |name, platform| {
                    let base = bases(name, platform)?;
                    base.mismatch(platform)
                        .iter()
                        .for_each(|message| progress(Event::Warning { kind: WarningKind::BasePlatform, message }));
                    Ok(base)
                });
            }
            RecipeKind::Dockerfile { dockerfile, ignore } => (dockerfile, ignore),
        };
        let lowered = self.with_request(ignore, automatic, linked, |request| dockerfile.lower(request, bases))?;
        for warning in &lowered.warnings {
            let Warning { rule, message, place, .. } = warning;
            let (rule, file, line) = (rule.name(), &place.file, place.line);
            let message = format!("{rule}: {message} ({file}:{line})");
            progress(Event::Warning { kind: WarningKind::BuildCheck { rule, file, line }, message: &message });
        }
        if let (Some(first), true) = (lowered.warnings.first(), dockerfile.directives.check.error) {
            let error = Error::input(format!("{}: {}", first.rule.name(), first.message));
            return Err(error.with_excerpt(first.place.clone()).with_hint("`# check=error=true` makes this an error"));
        }
        warn::of_labels(&lowered.label_faults, progress);
        warn::of_git_arguments(&lowered.git_arguments, self.flags.git_args, self.is_release, progress);
        for name in &lowered.unused {
            let message = format!("the build argument {name} is not used: no ARG names it");
            progress(Event::Warning { kind: WarningKind::UnusedBuildArgument, message: &message });
        }
        Ok(lowered.plan)
    }

    /// Returns the text of the Dockerfile; none for a spec.
    pub fn text(&self) -> Option<&Text> {
        match &self.kind {
            RecipeKind::Spec(_) => None,
            RecipeKind::Dockerfile { dockerfile, .. } => Some(&dockerfile.text),
        }
    }

    /// Returns what the build checks find, and why the Dockerfile cannot be built though it can be read: it copies what is not
    /// there. Fails for a spec, which has no checks, and for what the plan of a Dockerfile fails for.
    pub fn check(&self, bases: &mut FindBase<'_>) -> Result<(Vec<Warning>, Option<Error>)> {
        let (dockerfile, ignore) = self.dockerfile("--check")?;
        let checked =
            self.with_request(ignore, &Automatic::default(), &Map::new(), |request| dockerfile.check(request, bases))?;
        Ok((checked.warnings, check_sources(&checked.plan, &self.roots()).err()))
    }

    /// Returns what the stage takes that is to be built, and the text of the Dockerfile. Fails for a spec.
    pub fn outline(&self, bases: &mut FindBase<'_>) -> Result<(Outline, &Text)> {
        let (dockerfile, ignore) = self.dockerfile("--call=outline")?;
        let outline = self
            .with_request(ignore, &Automatic::default(), &Map::new(), |request| dockerfile.outline(request, bases))?;
        Ok((outline, &dockerfile.text))
    }

    /// Returns the stages that may be built, and the text of the Dockerfile. Fails for a spec.
    pub fn targets(&self) -> Result<(Vec<OfferedStage>, &Text)> {
        self.dockerfile("--call=targets").map(|(dockerfile, _)| (dockerfile.offered_stages(), &*dockerfile.text))
    }

    /// The Dockerfile, and what its context leaves out. Fails for a spec, for which `flag` is not.
    fn dockerfile(&self, flag: &str) -> Result<(&Dockerfile, &[String])> {
        match &self.kind {
            RecipeKind::Spec(_) => Err(Error::usage(format!("{flag} is only for Dockerfiles"))),
            RecipeKind::Dockerfile { dockerfile, ignore } => Ok((dockerfile, ignore)),
        }
    }

    fn with_request<T>(
        &self,
        ignore: &[String],
        automatic: &Automatic,
        linked: &LinkedTargets,
        work: impl FnOnce(&LoweringRequest<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut flags = Spec::default();
        self.spec_flags.overlay(&mut flags)?;
        let main = Context { title: self.title.clone(), ignore: ignore.to_vec() };
        let mut contexts = vec![main];
        for (name, opened) in &self.directories {
            let text = DockerfileSource::ignore(opened)?;
            let ignore = text.map(|text| dockerignore::patterns(text.text.as_bytes())).unwrap_or_default();
            contexts.push(Context { title: name.clone(), ignore });
        }
        let named = |name: &str| {
            let name = context_name(name)?;
            if let Some(number) = self.directories.iter().position(|(own, _)| *own == name) {
                return Some(NamedSource::Directory(number + 1));
            }
            match &self.flags.build_context.iter().rfind(|named| named.name == name)?.place {
                ContextPlace::Image(image) if image == SCRATCH => Some(NamedSource::Nothing),
                ContextPlace::Target(target) => {
                    let unknown = || Arc::new(LinkedTarget::unknown(target));
                    Some(NamedSource::Target(linked.get(target).cloned().unwrap_or_else(unknown)))
                }
                _ => Some(NamedSource::Image(name)),
            }
        };
        let patterns = Ignore::new(ignore.iter().map(String::as_str))?;
        // What a pattern takes back may lie anywhere below.
        let takes_back = ignore.iter().any(|pattern| pattern.starts_with('!'));
        let request = LoweringRequest {
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
            git_arguments: self.flags.git_args.unwrap_or(self.is_release),
            allowed: &self.run_flags.allowed(),
        };
        work(&request)
    }
}

/// Returns `spec` with what is known of the target that it stands on. One that is for another platform is a warning.
fn linked_spec(spec: &Spec, linked: &LinkedTargets, progress: Progress<'_>) -> Spec {
    let mut spec = spec.clone();
    if let Some(target) = spec.base.target().and_then(|name| linked.get(name)) {
        for message in spec.platforms.iter().filter_map(|platform| target.mismatch(platform)) {
            progress(Event::Warning { kind: WarningKind::BasePlatform, message: &message });
        }
        spec.base = SpecBase::Target(target.clone());
    }
    spec
}
