//! What a Dockerfile offers to who builds it: its stages, and what a stage takes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Dockerfile, Lowering, LoweringBudget, LoweringFindings, LoweringRequest};
use crate::error::Result;
use crate::plan::dockerfile::{Argument, Instruction, Span};
use crate::plan::{FindBase, RunMount, RunMountKind, SecretVariable};

/// A stage that may be built, in the order of the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedStage {
    /// The name behind `AS`; none for a stage without one.
    pub name: Option<String>,
    /// It is built where no other is named.
    pub is_default: bool,
    /// What the comment above its `FROM` says of it.
    pub description: String,
    /// The base as it is written.
    pub base: String,
    /// The platform as it is written.
    pub platform: Option<String>,
    /// The lines of its `FROM`, counted from 1.
    pub lines: RangeInclusive<usize>,
}

/// What a stage takes, and those that it stands on or takes files from; each by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The name of the stage, if it has one.
    pub name: Option<String>,
    /// What the comment above its `FROM` says of it.
    pub description: String,
    /// The build arguments, each once.
    pub arguments: Vec<OutlineArgument>,
    /// The secrets, each once.
    pub secrets: Vec<OutlineMount>,
    /// The SSH agents, each once.
    pub agents: Vec<OutlineMount>,
    /// The cache mounts, each once.
    pub caches: Vec<OutlineMount>,
}

/// A build argument that an `ARG` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArgument {
    /// The name of the variable.
    pub name: String,
    /// The value that it has in this build, if it has one.
    pub value: Option<String>,
    /// What the comment above it says of it.
    pub description: String,
    /// The lines of the `ARG`, counted from 1.
    pub lines: RangeInclusive<usize>,
}

/// What a `RUN` mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineMount {
    /// The name that it has on the command line, or that a cache is kept by.
    pub id: String,
    /// The build fails without it.
    pub required: bool,
    /// The lines of the `RUN` that asks for it first, counted from 1.
    pub lines: RangeInclusive<usize>,
}

impl Dockerfile {
    /// Returns the stages, which may all be built.
    pub fn offered_stages(&self) -> Vec<OfferedStage> {
        let last = self.stages.len().saturating_sub(1);
        let offered = self.stages.iter().enumerate().map(|(number, stage)| OfferedStage {
            name: stage.name.as_ref().map(|name| name.text.clone()),
            is_default: number == last,
            description: stage.name.as_ref().map(|name| self.description(&stage.span, &name.text)).unwrap_or_default(),
            base: stage.base.text.clone(),
            platform: stage.platform.as_ref().map(|platform| platform.text.clone()),
            lines: self.lines(&stage.span),
        });
        offered.collect()
    }

    /// Returns what the stage takes that `request` is for. Images are asked for as for [`check`](Self::check).
    pub fn outline(&self, request: &LoweringRequest<'_>, bases: &mut FindBase<'_>) -> Result<Outline> {
        let platform = request.platforms.first().unwrap_or(&request.build_platform);
        let (mut stages, mut findings, mut budget) = (Vec::new(), LoweringFindings::default(), LoweringBudget::new());
        let mut lowering = Lowering::new(self, request, platform, bases, &mut stages, &mut findings, &mut budget)?;
        lowering.is_check = true;
        let number = lowering.target()?;
        lowering.stage(number)?;
        let global = lowering.global.clone();
        let Outline { arguments: declared, mut secrets, mut agents, mut caches, .. } =
            std::mem::take(&mut findings.outline);
        // Of several of a name, the one that was met last is of the stage itself.
        let mut arguments: Vec<OutlineArgument> = Vec::new();
        for argument in declared {
            arguments.retain(|known| known.name != argument.name);
            arguments.push(argument);
        }
        for argument in self.global_arguments(&findings) {
            let name = &argument.name.text;
            if !arguments.iter().any(|known| known.name == *name) {
                arguments.push(self.outlined(argument, &argument.name.span, global.get(name)));
            }
        }
        arguments.sort_by_key(|argument| *argument.lines.start());
        for mounts in [&mut secrets, &mut agents, &mut caches] {
            mounts.sort_by_key(|mount| *mount.lines.start());
        }
        let name = self.stages[number].name.as_ref().map(|name| name.text.clone());
        let description = name.as_deref().map(|name| self.description(&self.stages[number].span, name));
        Ok(Outline { name, description: description.unwrap_or_default(), arguments, secrets, agents, caches })
    }

    /// Returns the argument of an `ARG` at `place`, with the value that it has.
    pub(super) fn outlined(&self, argument: &Argument, place: &Span, value: Option<&str>) -> OutlineArgument {
        let name = &argument.name.text;
        OutlineArgument {
            name: name.clone(),
            value: value.map(str::to_owned),
            description: self.description(place, name),
            lines: self.commented(place).map_or_else(|| self.lines(place), |(span, _)| self.lines(span)),
        }
    }

    /// The arguments before the first `FROM` that the stages make use of which were met: in their `FROM`, by an `ARG` that names
    /// them again, or in the default of another one that is made use of.
    fn global_arguments(&self, findings: &LoweringFindings) -> Vec<&Argument> {
        let mut used: BTreeSet<String> = findings.redeclared.clone();
        for stage in findings.reached.iter().filter_map(|number| self.stages.get(*number)) {
            let words = [Some(&stage.base), stage.platform.as_ref()];
            used.extend(words.into_iter().flatten().flat_map(|word| variables(&word.text)));
        }
        // What a default names stands before it.
        for Argument { name, default } in self.arguments.iter().rev() {
            if let Some(default) = default.as_ref().filter(|_| used.contains(&name.text)) {
                used.extend(variables(&default.text));
            }
        }
        self.arguments.iter().filter(|argument| used.contains(&argument.name.text)).collect()
    }

    fn lines(&self, span: &Span) -> RangeInclusive<usize> {
        self.text.line(span.start)..=self.text.line(span.end.saturating_sub(1).max(span.start))
    }

    /// Returns what the comment right above the instruction at `place` says of `name`, with which it begins.
    fn description(&self, place: &Span, name: &str) -> String {
        let comments = self.commented(place).map(|(_, comments)| &comments[..]).unwrap_or_default();
        let mut of_name = comments.iter().filter_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
        of_name.next().unwrap_or_default().to_owned()
    }

    /// The instruction that `place` is in, and the comments right above it, if it is one that comments tell of.
    fn commented(&self, place: &Span) -> Option<&(Span, Vec<String>)> {
        let after = self.comments.partition_point(|(span, _)| span.start <= place.start);
        self.comments[..after].last().filter(|(span, _)| span.contains(&place.start))
    }
}

impl Lowering<'_, '_> {
    /// Notes an argument of an `ARG` in a stage, which has this value; one that is there before the first `FROM`, and gets
    /// nothing new, is that one.
    pub fn note_argument(
        &mut self,
        argument: &Argument,
        value: Option<&str>,
        is_global: bool,
        instruction: &Instruction,
    ) {
        if !self.is_check {
            return;
        }
        let is_here = Arc::ptr_eq(&instruction.text, &self.dockerfile.text);
        if is_global {
            self.findings.redeclared.insert(argument.name.text.clone());
        } else if is_here {
            let outlined = self.dockerfile.outlined(argument, &instruction.span, value);
            self.findings.outline.arguments.push(outlined);
        }
    }

    /// Notes what the command of `instruction` mounts, and the secrets that it has as variables.
    pub fn note_mounts(&mut self, mounts: &[RunMount], variables: &[SecretVariable], instruction: &Instruction) {
        let lines = instruction.line..=instruction.text.line(instruction.span.end.saturating_sub(1));
        let Outline { secrets, agents, caches, .. } = &mut self.findings.outline;
        for mount in mounts {
            match &mount.kind {
                RunMountKind::Secret { id, required, .. } => note(secrets, id, *required, &lines),
                RunMountKind::Ssh { id, required, .. } => note(agents, id, *required, &lines),
                RunMountKind::Cache { id, .. } => note(caches, id, false, &lines),
                RunMountKind::Bind { .. } | RunMountKind::Tmpfs { .. } => {}
            }
        }
        variables.iter().for_each(|variable| note(secrets, &variable.id, variable.required, &lines));
    }
}

/// Adds a mount to those that are known, each of which is there once, for the first command that asks for it.
fn note(all: &mut Vec<OutlineMount>, id: &str, required: bool, lines: &RangeInclusive<usize>) {
    match all.iter_mut().find(|mount| mount.id == id) {
        Some(known) => known.required |= required,
        None => all.push(OutlineMount { id: id.to_owned(), required, lines: lines.clone() }),
    }
}

/// Returns the names of the variables in a word.
fn variables(word: &str) -> Vec<String> {
    let behind = word.match_indices('$').map(|(at, _)| word[at + 1..].trim_start_matches('{'));
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    behind.map(name).filter(|name| !name.is_empty()).collect()
}
