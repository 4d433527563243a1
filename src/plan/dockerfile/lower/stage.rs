//! What a stage stands on.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::budget;
use super::made::{MadeStage, StageState};
use super::{Lowering, NamedSource, Scope, place, windows};
use crate::error::{Error, ErrorKind, Excerpt, Result, suggestion};
use crate::oci::{Map, Platform, Reference, Settings};
use crate::plan::dockerfile::word::Unset;
use crate::plan::dockerfile::{Command, DockerfileStage, MountFlag, Warning, Word, read_trigger};
use crate::plan::{Base, BaseImage, Copy, CopyItem, ImagePath, Provider, Stage, Work};

/// The name of no image.
const SCRATCH: &str = "scratch";

impl Lowering<'_, '_> {
    /// Lowers the stage of that place in the Dockerfile, and all that it needs, and returns it. Fails with the line
    /// that is wrong.
    pub fn stage(&mut self, number: usize) -> Result<Rc<MadeStage>> {
        if let Some(made) = &self.made[number] {
            return Ok(Rc::clone(made));
        }
        // In their order, so that however long the chain is, each finds what it stands on.
        for below in self.below(number)? {
            self.stage(below)?;
        }
        self.make(number)
    }

    /// The stages that are not made yet and that `number` stands on or takes files from, and those that these do. What triggers
    /// of images take is not among them.
    fn below(&mut self, number: usize) -> Result<BTreeSet<usize>> {
        let (mut all, mut left) = (BTreeSet::new(), vec![number]);
        while let Some(number) = left.pop() {
            let from = &self.dockerfile.stages[number];
            let base = self.base_name(from)?;
            let words = from.instructions.iter().flat_map(|instruction| taken_from(&instruction.command));
            let taken = words.filter_map(|word| self.copied_stage(&word.text));
            let below = taken.chain(self.earlier_stage(&base, number)).filter(|below| *below < number);
            left.extend(below.filter(|below| self.made[*below].is_none() && all.insert(*below)));
        }
        Ok(all)
    }

    fn make(&mut self, number: usize) -> Result<Rc<MadeStage>> {
        self.findings.reached.insert(number);
        let dockerfile = self.dockerfile;
        let from = &dockerfile.stages[number];
        let mut state = self.foundation(number, from)?;
        let is_replaced = from.name.as_ref().is_some_and(|name| (self.request.named)(&name.text).is_some());
        if !is_replaced {
            for trigger in state.settings.on_build.take().unwrap_or_default() {
                let title = format!("ONBUILD of {}", from.base.text);
                let instruction = read_trigger(&title, &trigger)?;
                self.instruction(&mut state, number, &instruction)?;
            }
            for instruction in &from.instructions {
                self.instruction(&mut state, number, instruction)?;
            }
        }
        // It is kept twice, and compared with what may be the same.
        let like = self.plan.iter().filter(|stage| stage.title == state.title).count();
        let cost = (like + 2).saturating_mul(budget::size(&state)).saturating_add(self.plan.len() / 16);
        self.budget.spend(cost).map_err(|error| error.with_excerpt(dockerfile.excerpt(&from.span)))?;
        let made = Rc::new(MadeStage { number: place(self.plan, state.stage()), state });
        self.made[number] = Some(Rc::clone(&made));
        Ok(made)
    }

    /// The state before the first instruction.
    fn foundation(&mut self, number: usize, from: &DockerfileStage) -> Result<StageState> {
        let title = from.name.as_ref().map_or_else(|| format!("stage-{number}"), |name| name.text.clone());
        let excerpt = || self.dockerfile.excerpt(&from.span);
        let platform = self.stage_platform(from)?;
        if let Some(named) = from.name.as_ref().and_then(|name| (self.request.named)(&name.text)) {
            return self.on_named(title, named, platform, excerpt());
        }
        let base = self.base_name(from)?;
        if let Some(earlier) = self.earlier_stage(&base, number) {
            let made = self.stage(earlier)?;
            return Ok(made.state.above(title, made.number));
        }
        if base == SCRATCH {
            return Ok(on_nothing(title, self.platform.clone()));
        }
        let platform = platform.unwrap_or_else(|| self.platform.clone());
        if let Some(named) = (self.request.named)(&base) {
            return self.on_named(title, named, Some(platform), excerpt());
        }
        let image = match self.base_image(&base, &platform) {
            Err(error) if self.does_without(&error) => return Ok(on_unknown(title, platform)),
            image => image.map_err(|error| self.no_image(error, &base, number, from))?,
        };
        image.check_layers(&platform).map_err(|error| error.with_excerpt(excerpt()))?;
        self.check_platform(&base, &platform, &image, from)?;
        Ok(on_image(title, platform, image))
    }

    /// Returns the stage, image or directory that `COPY --from` or a mount takes files of, `number` being the stage that it stands
    /// in. Fails if there is none of that name.
    pub fn provider(&mut self, name: &str, number: usize) -> Result<Provider> {
        let not_before = |what: &str| {
            Error::input(format!("files cannot be copied from {what}"))
                .with_hint("a stage can only take files from stages before it in the Dockerfile")
        };
        if let Ok(index) = name.parse::<usize>() {
            return match index {
                index if index < number => Ok(Provider::Stage(self.stage(index)?.number)),
                index if index < self.dockerfile.stages.len() => Err(not_before(&format!("stage {index}"))),
                index => Err(Error::input(format!("there is no stage {index}"))
                    .with_hint("stages are counted from 0, but names are better")),
            };
        }
        if let Some(stage) = self.copied_stage(name) {
            return match stage {
                stage if stage < number => Ok(Provider::Stage(self.stage(stage)?.number)),
                _ => Err(not_before(&format!("stage `{name}`"))),
            };
        }
        match (self.request.named)(name) {
            Some(NamedSource::Directory(directory)) => Ok(Provider::Context(directory)),
            Some(NamedSource::Image(image)) => Ok(Provider::Image(self.base_image(&image, &self.platform.clone())?)),
            Some(NamedSource::Nothing) => Ok(self.nothing(name)),
            Some(NamedSource::Target(target)) if self.is_check && !target.is_known() => Ok(self.nothing(name)),
            Some(NamedSource::Target(target)) => {
                let stage = target.stage(self.platform)?.clone();
                Ok(Provider::Stage(place(self.plan, stage)))
            }
            None if name == SCRATCH => Ok(self.nothing(name)),
            None => {
                let image = self.base_image(name, &self.platform.clone());
                if image.as_ref().is_err_and(|error| self.does_without(error)) {
                    return Ok(self.nothing(name));
                }
                image.map(Provider::Image).map_err(|error| with_near_name(error, name, &self.stage_names(number)))
            }
        }
    }

    /// Returns whether the checks do without an image that is not had because of `error`. One that does not exist is missed.
    fn does_without(&self, error: &Error) -> bool {
        self.is_check && error.kind != ErrorKind::NotFound
    }

    /// The stage `name`, which has no files.
    fn nothing(&mut self, name: &str) -> Provider {
        let nothing = on_nothing(name.to_owned(), self.platform.clone()).stage();
        Provider::Stage(place(self.plan, nothing))
    }

    /// The stage before `number` that a `FROM` means by `name`.
    fn earlier_stage(&self, name: &str, number: usize) -> Option<usize> {
        let named = self.names.get(name)?;
        named[..named.partition_point(|stage| *stage < number)].last().copied()
    }

    /// The stage that `COPY --from` means by `name`, as [`Dockerfile::stage`](crate::plan::dockerfile::Dockerfile::stage) finds it.
    fn copied_stage(&self, name: &str) -> Option<usize> {
        if let Ok(place) = name.parse::<usize>() {
            return Some(place).filter(|place| *place < self.dockerfile.stages.len());
        }
        self.names.get(&name.to_lowercase()[..])?.last().copied()
    }

    fn stage_names(&self, number: usize) -> Vec<&str> {
        let stages = self.dockerfile.stages.iter().take(number);
        stages.filter_map(|stage| Some(stage.name.as_ref()?.text.as_str())).collect()
    }

    fn base_image(&mut self, name: &str, platform: &Platform) -> Result<Arc<BaseImage>> {
        (self.bases)(name, platform)
    }

    fn no_image(&self, error: Error, name: &str, number: usize, from: &DockerfileStage) -> Error {
        let excerpt = self.dockerfile.excerpt(&from.base.span);
        let error = Error { excerpt: error.excerpt.or(Some(Box::new(excerpt))), ..error };
        with_near_name(error, name, &self.stage_names(number))
    }

    fn on_named(
        &mut self,
        title: String,
        named: NamedSource,
        platform: Option<Platform>,
        place: Excerpt,
    ) -> Result<StageState> {
        let platform = platform.unwrap_or_else(|| self.platform.clone());
        match named {
            NamedSource::Image(name) => {
                let image = self.base_image(&name, &platform).and_then(|image| {
                    image.check_layers(&platform)?;
                    Ok(image)
                });
                Ok(on_image(title, platform, image.map_err(|error| error.with_excerpt(place))?))
            }
            NamedSource::Nothing => Ok(on_nothing(title, platform)),
            NamedSource::Target(target) if self.is_check && !target.is_known() => Ok(on_unknown(title, platform)),
            NamedSource::Target(target) => {
                let stage = target.stage(&platform).map_err(|error| error.with_excerpt(place))?.clone();
                Ok(self.on_target(title, platform, stage))
            }
            NamedSource::Directory(directory) => {
                let mut state = on_nothing(title, platform);
                let root = ImagePath { path: String::new(), into: true };
                let copy = Copy::new(Provider::Context(directory), vec![CopyItem::Pattern("/".to_owned())], root);
                state.push("COPY / /".to_owned(), Work::Copy(copy), place);
                Ok(state)
            }
        }
    }

    /// The state above the image of another target, which `linked` stands for.
    fn on_target(&mut self, title: String, platform: Platform, linked: Stage) -> StageState {
        let (settings, author) = (linked.settings.clone(), linked.author.clone());
        let (base_platform, annotations) = (Some(linked.platform.clone()), linked.annotations.clone());
        let number = place(self.plan, linked);
        let state = StageState::new(title, platform, Base::Stage(number), settings, author);
        StageState { base_platform, annotations, ..state }
    }

    /// The name behind `FROM`, its variables expanded.
    fn base_name(&mut self, from: &DockerfileStage) -> Result<String> {
        let global = Rc::clone(&self.global);
        let expanded = self.expand_in_from(&global, &from.base)?;
        self.note_undefined_in_from(&expanded.unset, &global, from)?;
        if expanded.text.is_empty() {
            let error = Error::input(format!("`FROM {}` names no image", from.base.text));
            return Err(error.with_excerpt(self.dockerfile.excerpt(&from.base.span)).with_hint(
                "give the variable a default with an ARG before the first FROM, or a value with --build-arg",
            ));
        }
        Ok(expanded.text)
    }

    fn stage_platform(&mut self, from: &DockerfileStage) -> Result<Option<Platform>> {
        let Some(word) = &from.platform else { return Ok(None) };
        let global = Rc::clone(&self.global);
        let expanded = self.expand_in_from(&global, word)?;
        self.note_undefined_in_from(&expanded.unset, &global, from)?;
        let excerpt = || self.dockerfile.excerpt(&word.span);
        if expanded.text.is_empty() {
            return Err(Error::input(format!("the platform `{}` is empty", word.text)).with_excerpt(excerpt()));
        }
        let platform: Platform = expanded.text.parse().map_err(|error: Error| error.with_excerpt(excerpt()))?;
        let is_target = matches!(word.text.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}");
        if is_target && expanded.text == self.platform.to_string() {
            let place = self.dockerfile.excerpt(&from.span);
            self.warn(Warning::redundant_target_platform(&word.text, place))?;
        }
        Ok(Some(platform))
    }

    fn note_undefined_in_from(&mut self, unset: &[Unset], scope: &Scope, from: &DockerfileStage) -> Result<()> {
        for name in unset.iter().map(|unset| &unset.name).filter(|name| !scope.arguments.contains(*name)) {
            let names = scope.names().chain(scope.arguments.iter().map(String::as_str));
            self.budget.spend(names.clone().map(str::len).sum())?;
            let place = self.dockerfile.excerpt(&from.span);
            self.warn(Warning::undefined_arg_in_from(name, suggestion(name, names), place))?;
        }
        Ok(())
    }

    fn check_platform(
        &mut self,
        name: &str,
        wanted: &Platform,
        image: &BaseImage,
        from: &DockerfileStage,
    ) -> Result<()> {
        let actual = image.config.platform.normalised();
        if (&actual.os, &actual.architecture) != (&wanted.os, &wanted.architecture) {
            let place = self.dockerfile.excerpt(&from.span);
            let (wanted, actual) = (wanted.to_string(), actual.to_string());
            self.warn(Warning::invalid_base_image_platform(name, &wanted, &actual, place))?;
        }
        Ok(())
    }

    /// Gives the `ARG`s before the first `FROM` their values.
    pub fn read_global_arguments(&mut self) -> Result<()> {
        let stage = self.request.target.filter(|name| !name.is_empty());
        let last = self.dockerfile.stages.last().and_then(|stage| Some(stage.name.as_ref()?.text.as_str()));
        let stage = stage.or(last).unwrap_or("default");
        let request = self.request;
        let automatic = Scope::automatic(&request.build_platform, self.platform, stage, request.arguments);
        self.findings.arguments.extend(automatic.names().map(str::to_owned));
        self.global = Rc::new(self.dockerfile.global_scope(automatic, request.arguments, self.budget)?);
        self.findings.arguments.extend(self.global.arguments.iter().cloned());
        Ok(())
    }

    /// Fails for a `FROM` that names nothing, whether it is needed or not, and warns of one that would without build
    /// arguments.
    pub fn check_bases(&mut self) -> Result<()> {
        let dockerfile = self.dockerfile;
        let automatic = Scope::automatic(&self.request.build_platform, self.platform, "default", &Map::new());
        let defaults = self.dockerfile.global_scope(automatic, &Map::new(), self.budget);
        for (number, from) in dockerfile.stages.iter().enumerate() {
            let name = self.base_name(from)?;
            self.stage_platform(from)?;
            let is_image = self.earlier_stage(&name, number).is_none() && name != SCRATCH;
            if is_image && (self.request.named)(&name).is_none() {
                name.parse::<Reference>().map(drop).map_err(|error| self.no_image(error, &name, number, from))?;
            }
            if let Ok(defaults) = &defaults
                && let Ok(expanded) = self.expand_in_from(defaults, &from.base)
                && expanded.text.parse::<Reference>().is_err()
            {
                let place = dockerfile.excerpt(&from.span);
                self.warn(Warning::invalid_default_arg_in_from(&from.base.text, place))?;
            }
        }
        Ok(())
    }

    /// Notes a warning, within the budget.
    pub fn warn(&mut self, warning: Warning) -> Result<()> {
        self.budget.spend(warning.message.len() + warning.place.text.len())?;
        self.findings.warnings.push(warning);
        Ok(())
    }
}

/// The names of what an instruction takes files from, as they are written.
fn taken_from(command: &Command) -> Vec<&Word> {
    match command {
        Command::Copy(copy) => copy.from.iter().collect(),
        Command::Run(run) => run.mounts.iter().filter_map(MountFlag::from).collect(),
        _ => Vec::new(),
    }
}

fn on_nothing(title: String, platform: Platform) -> StageState {
    let working_dir = if platform.is_windows() { windows::ROOT } else { "/" };
    let settings = Settings { working_dir: working_dir.to_owned(), ..Settings::default() };
    StageState::new(title, platform, Base::Scratch, settings, None)
}

/// Checks do without an image that cannot be had, and without what they would say of its variables.
fn on_unknown(title: String, platform: Platform) -> StageState {
    let mut state = on_nothing(title, platform);
    state.scope.is_open = true;
    state
}

fn on_image(title: String, platform: Platform, image: Arc<BaseImage>) -> StageState {
    let (settings, author) = (image.config.config.clone(), image.config.author.clone());
    let base_platform = Some(image.config.platform.normalised());
    let annotations = image.annotations();
    let state = StageState::new(title, platform, Base::Image(image), settings, author);
    StageState { base_platform, annotations, ..state }
}

/// A name that is not an image's may have been meant as a stage's.
fn with_near_name(error: Error, name: &str, stages: &[&str]) -> Error {
    match suggestion(name, stages.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean the stage `{near}`?")),
        None => error,
    }
}
