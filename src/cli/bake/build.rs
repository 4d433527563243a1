//! The build of resolved targets: all as one, and what goes out together.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::iter;
use std::path::Path;

use super::allowed::Wishes;
use super::ask;
use super::flags::BakeArguments;
use super::order::in_order;
use super::release::{SystemRelease, TargetRelease};
use super::remote::RemoteFiles;
use super::request::{TargetRequest, TargetSurroundings};
use super::variables::VariableSources;
use crate::build::RunShell;
use crate::cli::build::{
    Beforehand, BuildRequest, BuiltTarget, Delivery, GivenRecipe, NamedRequest, Together, of_build, secret, shell,
};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::image_refs;
use crate::cli::namespace::Want;
use crate::cli::print::answer_lines;
use crate::cli::progress::Reporter;
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::output::Output;
use crate::plan::bake::ResolvedBake;
use crate::plan::dockerfile::Dockerfile;
use crate::plan::{Isolation, SecretSource};
use crate::progress::{Event, Progress, WarningKind};
use crate::release::Release;
use crate::store::pending::PendingFile;

/// All that building is told.
pub struct BakeOrder<'a> {
    /// The targets, and what is allowed.
    pub resolved: &'a ResolvedBake,
    /// The place elsewhere that contexts lie in which are paths, unless they begin with `cwd://`.
    pub remote: Option<&'a RemoteFiles>,
    /// The variables of the environment.
    pub sources: &'a VariableSources,
    pub arguments: &'a BakeArguments,
}

impl<'a> BakeOrder<'a> {
    /// Returns the targets as builds of the command line, each behind those that it takes from. Fails for what nothing here can
    /// do, and for what is not allowed.
    pub fn requests(&self, environment: &Environment) -> Result<Vec<TargetRequest>> {
        let arguments = self.arguments;
        let around = TargetSurroundings {
            remote: self.remote,
            variable: &|name| self.sources.variable(name),
            is_named: arguments.release.is_named() || arguments.shards.goes_by_plan(),
            goes_out: !arguments.output.is_empty(),
            jobs: arguments.jobs,
            is_insecure: arguments.insecure,
            caches: &arguments.caches,
            is_dockers: arguments.is_dockers,
            usual_platform: environment.docker.default_platform.as_deref().filter(|_| arguments.is_dockers),
        };
        let mut requests = Vec::with_capacity(self.resolved.targets.len());
        for (name, target) in &self.resolved.targets {
            requests.push(TargetRequest::new(name, target, &around)?);
        }
        Ok(in_order(requests))
    }

    /// Fails for what the command line does not allow.
    pub fn check_allowed(&self, requests: &[TargetRequest]) -> Result<()> {
        let mut wishes = Wishes::default();
        for request in requests {
            if let Some(target) = self.resolved.targets.get(&request.name) {
                wishes.add(target, request, self.remote);
            }
        }
        wishes.check(&self.resolved.allowances, self.remote.is_some())
    }

    /// Returns what the builds want of their place.
    pub fn want(&self, environment: &Environment) -> Result<Want> {
        let commands = Want::Commands(Isolation::default());
        for request in self.requests(environment)? {
            let wants = match request.given() {
                // Layers are put together without a command.
                Some(GivenRecipe::Spec(_)) => false,
                // What is wrong with it the build will say.
                Some(GivenRecipe::Dockerfile(text)) => match Dockerfile::read("Dockerfile", text.as_bytes()) {
                    Ok(dockerfile) => dockerfile.has_commands() || environment.again,
                    Err(_) => true,
                },
                None => of_build(&request.build, Some(&request.context), environment)?.0 != Want::Nothing,
            };
            if wants {
                return Ok(commands);
            }
        }
        Ok(Want::Nothing)
    }

    /// Builds the targets, and answers what is asked of others.
    pub fn carry_out(&self, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
        let requests = self.requests(environment)?;
        self.check_allowed(&requests)?;
        let outputs = &self.arguments.output;
        if outputs.iter().any(Output::is_standard_output) && requests.iter().any(|request| request.call.is_some()) {
            return Err(Error::usage("answers and an image cannot both go to standard output"));
        }
        let (mut asked, built): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.call.is_some());
        let missing = || built.iter().flat_map(|request| &request.takes_from).find(|name| is_of(&asked, name));
        if let Some(name) = missing() {
            return Err(Error::input(format!("the target {name} is only asked about, but others are built from it"))
                .with_hint("ask about all of them, or none"));
        }
        let has_some = !asked.is_empty();
        asked.retain(|request| !request.is_of_layers());
        if has_some && asked.is_empty() {
            return Err(Error::usage("there is no Dockerfile to ask about: the images are made of layers"));
        }
        let (reporter, commands) = (Reporter::new(&self.arguments.progress), Commands::default());
        for message in asked.iter().chain(&built).flat_map(|request| &request.warnings) {
            reporter.report(Event::Warning { kind: WarningKind::FlagIgnored, message });
        }
        let (reporter, commands) = (&reporter, &commands);
        let means = BakeMeans { order: self, environment, beforehand, reporter, commands, share: None };
        if !built.is_empty() {
            means.build(&built)?;
        }
        if !asked.is_empty() {
            means.with_requests(&asked, (&[], &[]), |asking| {
                ask::answer_all(asking, &asked, self.resolved, self.arguments, environment, reporter)
            })?;
        }
        reporter.finish();
        Ok(())
    }
}

fn is_of(requests: &[TargetRequest], name: &str) -> bool {
    requests.iter().any(|request| request.name == name)
}

/// What builds are made with.
pub struct BakeMeans<'a> {
    pub order: &'a BakeOrder<'a>,
    pub environment: &'a Environment,
    pub beforehand: &'a Beforehand,
    pub reporter: &'a Reporter,
    pub commands: &'a Commands,
    /// Whether anything is built, where many machines build together; none where this one builds by itself.
    pub share: Option<bool>,
}

impl BakeMeans<'_> {
    fn build(&self, requests: &[TargetRequest]) -> Result<()> {
        let arguments = self.order.arguments;
        let notes = [&arguments.metadata_file, &arguments.image_refs];
        notes.into_iter().flatten().try_for_each(|path| PendingFile::check(path))?;
        let progress: Progress<'_> = &|event| self.reporter.report(event);
        let client = self.environment.client(arguments.insecure, arguments.jobs);
        let releases = arguments.release.of(requests, self.environment)?;
        let pushed = |request: &TargetRequest| !request.is_linked && self.pushes(&request.name);
        let file = arguments.metadata_file.as_deref();
        let is_immutable = arguments.release.is_immutable();
        let system = SystemRelease::new(&releases, is_immutable, file, self.commands, requests.len() > 1);
        let keepers = system.keepers();
        let releases_of: Vec<Option<Release<'_>>> = requests
            .iter()
            .map(|request| system.release(&request.name, &keepers).filter(|_| pushed(request)))
            .collect();
        if arguments.release.is_dry_run() {
            let built = self.with_requests(requests, (&releases, &[]), |builds| {
                self.together(builds, None).run(self.environment, progress)
            })?;
            let lines = system.rehearse(&built, &releases_of, &client, progress)?;
            self.reporter.finish();
            return answer_lines(lines);
        }
        // A release keeps its own record there.
        let is_released = releases_of.iter().any(Option::is_some);
        let file = file.filter(|_| !is_released);
        let title: Vec<&str> =
            iter::once("ocibake bake").chain(requests.iter().map(|request| request.name.as_str())).collect();
        let built = self.with_requests(requests, (&releases, &releases_of), |builds| {
            let together = self.together(builds, file);
            arguments
                .timings
                .record(&title.join(" "), self.reporter, |progress| together.run(self.environment, progress))
        })?;
        if let Some(path) = &arguments.image_refs {
            let named = |target: &'_ BuiltTarget| (target.names.clone(), target.built.root.digest);
            let named: Vec<(Vec<Reference>, Digest)> = built.iter().map(named).collect();
            let images = named.iter().flat_map(|(names, digest)| names.iter().map(|name| (name, *digest)));
            image_refs::write(path, images)?;
        }
        self.reporter.finish();
        let is_streamed = arguments.output.iter().any(Output::is_standard_output);
        match is_released && !is_streamed {
            true => {
                let digests: Vec<(&str, Digest)> =
                    built.iter().map(|target| (&*target.name, target.built.root.digest)).collect();
                answer_lines(asked_names(&releases, &digests))
            }
            false => Ok(()),
        }
    }

    fn together<'b>(&'b self, requests: &'b [NamedRequest<'b>], metadata_file: Option<&'b Path>) -> Together<'b> {
        let arguments = self.order.arguments;
        let outputs = if arguments.release.is_dry_run() { &[][..] } else { &arguments.output[..] };
        Together { requests, outputs, metadata_file, share: None }
    }

    /// Returns whether the outputs of a target have it pushed.
    pub fn pushes(&self, name: &str) -> bool {
        let outputs = self.order.resolved.targets.get(name).and_then(|target| target.outputs.as_ref());
        outputs.into_iter().flatten().any(|output| match output.kind.as_str() {
            "registry" => true,
            "image" => output.attributes.get("push").is_some_and(|push| push == "true"),
            _ => false,
        })
    }

    /// Does `work` with the targets as builds; `named` are the tags of those that are named by one, and `releases` the pushes of each.
    pub fn with_requests<T>(
        &self,
        requests: &[impl Borrow<TargetRequest>],
        (named, releases): (&[TargetRelease], &[Option<Release<'_>>]),
        work: impl FnOnce(&[NamedRequest<'_>]) -> Result<T>,
    ) -> Result<T> {
        let BakeMeans { order, beforehand, reporter, commands, share, .. } = *self;
        let read_secret = |source: &SecretSource| match source {
            // It may come from a file of variables.
            SecretSource::Variable(name) => match order.sources.variable(name) {
                Some(value) => Ok(value.into_bytes()),
                None => secret::value(source),
            },
            SecretSource::File(_) => secret::value(source),
        };
        let open = |failure: &str, run: RunShell<'_>| shell::open(reporter, failure, run);
        let builds: Vec<NamedRequest<'_>> = requests
            .iter()
            .map(Borrow::borrow)
            .enumerate()
            .map(|(at, request)| {
                let release = named.iter().find(|release| release.name == request.name);
                let goes_out = releases.get(at).copied().flatten();
                let (names, tag) = match release {
                    Some(release) => (release.names(goes_out.is_some() || share.is_some()), Some(release.tag.clone())),
                    None => (request.given.names.clone(), request.given.tag.clone()),
                };
                let delivery = match goes_out {
                    _ if let Some(is_built) = share => {
                        let is_release = release.is_some() || request.is_linked;
                        Delivery::Share { is_release, is_built }
                    }
                    _ if request.is_linked || order.arguments.release.is_dry_run() => Delivery::Store,
                    Some(release) => Delivery::Release(release),
                    None => Delivery::Outputs,
                };
                NamedRequest {
                    name: request.name.as_str().into(),
                    request: BuildRequest {
                        context: Some(&request.context),
                        build: &request.build,
                        output: &request.output,
                        tag,
                        names: if request.is_linked || share == Some(true) { Vec::new() } else { names },
                        repositories: &request.given.repositories,
                        delivery,
                        given: request.given(),
                        secret: &read_secret,
                        beforehand,
                        commands,
                        shell: &open,
                    },
                }
            })
            .collect();
        work(&builds)
    }
}

/// Returns what was released, each name that was asked for with the digest; `built` are the digests of targets.
pub fn asked_names(releases: &[TargetRelease], built: &[(&str, Digest)]) -> BTreeSet<String> {
    let of = |(name, digest): &(&str, Digest)| {
        let release = releases.iter().find(|release| release.name == *name);
        let digest = *digest;
        release.into_iter().flat_map(move |release| release.asked.iter().map(move |name| format!("{name}@{digest}")))
    };
    built.iter().flat_map(of).collect()
}
