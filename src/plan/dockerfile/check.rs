//! The build checks that need nothing but the text.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::instruction::InstructionManner;
use super::{Check, Command, CommandLine, DockerfileStage, LintRule, Span, Text, Warning, Word};
use crate::oci::Platform;

const SECRETS: &[&str] =
    &["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const NO_SECRETS: &[&str] = &["public", "file", "version"];
const RESERVED: &[&str] = &["context", "scratch"];

/// One instruction as it was written, and which one it is.
pub(super) struct Spoken {
    /// The number of its stage; none before the first `FROM`.
    pub stage: Option<usize>,
    /// The place in the stage; none for `FROM` itself.
    pub instruction: Option<usize>,
    pub manner: InstructionManner,
}

struct CheckFindings<'a> {
    text: &'a Text,
    found: Vec<(usize, Warning)>,
    /// The bytes of lines and words that they have.
    size: usize,
}

/// The most bytes that all findings have together, for each has its line, which may be long. Findings beyond that are
/// left out: nobody reads so much.
const LARGEST: usize = 16 << 20;

/// Returns what the text alone shows, by line.
pub(super) fn warnings(text: &Text, stages: &[DockerfileStage], spoken: &[Spoken]) -> Vec<Warning> {
    let mut findings = CheckFindings { text, found: Vec::new(), size: 0 };
    for instruction in spoken {
        if let Some(gap) = &instruction.manner.gap {
            findings.add(LintRule::NoEmptyContinuation, gap, None, "Empty continuation line".to_owned());
        }
        match (instruction.stage, instruction.instruction) {
            (Some(stage), None) => findings.from(&stages[stage], &instruction.manner),
            (Some(stage), Some(place)) => {
                findings.command(&stages[stage].instructions[place].command, stage, &instruction.manner);
            }
            (None, _) => findings.description("ARG", &instruction.manner, &argument_names(&instruction.manner)),
        }
    }
    findings.stage_names(stages);
    findings.casing(spoken);
    findings.repetitions(stages, spoken);
    findings.shell_forms(stages, spoken);
    findings.found.sort_by_key(|(at, _)| *at);
    findings.found.into_iter().map(|(_, warning)| warning).collect()
}

impl CheckFindings<'_> {
    fn add(&mut self, rule: LintRule, place: &Span, stage: Option<usize>, message: String) {
        if self.size > LARGEST {
            return;
        }
        let warning = Warning { rule, message, place: self.text.excerpt(place), stage };
        self.size += warning.message.len() + warning.place.text.len();
        self.found.push((self.text.line(place.start), warning));
    }

    fn from(&mut self, stage: &DockerfileStage, manner: &InstructionManner) {
        let from = &manner.name;
        if let [_, keyword, name] = &manner.words[..] {
            if is_mixed(&name.text, false) {
                let message = format!("Stage name '{}' should be lowercase", name.text);
                self.add(LintRule::StageNameCasing, &name.span, None, message);
            }
            let lower = !is_mixed(&from.text, false);
            if (lower || !is_mixed(&from.text, true)) && is_mixed(&keyword.text, !lower) {
                let message = format!("'{}' and '{}' keywords' casing do not match", keyword.text, from.text);
                self.add(LintRule::FromAsCasing, &keyword.span, None, message);
            }
        }
        let name = stage.name.as_ref().map_or("", |name| name.text.as_str());
        if !name.is_empty() {
            self.description("FROM", manner, &[name]);
        }
        let Some(platform) = stage.platform.as_ref().filter(|platform| !platform.text.contains('$')) else { return };
        if let Ok(known) = Platform::from_str(&platform.text)
            && !name.contains(&known.os)
            && !name.contains(&known.architecture)
        {
            let message = format!("FROM --platform flag should not use constant value {:?}", platform.text);
            self.add(LintRule::FromPlatformFlagConstDisallowed, &platform.span, None, message);
        }
    }

    fn command(&mut self, command: &Command, stage: usize, manner: &InstructionManner) {
        if manner.legacy {
            let name = &manner.name.text;
            let message = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
            self.add(LintRule::LegacyKeyValueFormat, &manner.name.span, Some(stage), message);
        }
        match command {
            Command::Arg(arguments) => {
                let names: Vec<&str> = arguments.iter().map(|argument| argument.name.text.as_str()).collect();
                self.description("ARG", manner, &names);
                arguments.iter().for_each(|argument| self.secret("ARG", &argument.name, stage));
            }
            Command::Env(pairs) => pairs.iter().for_each(|pair| self.secret("ENV", &pair.key, stage)),
            Command::Expose(ports) => {
                for port in ports.iter().filter(|port| !port.text.contains('$')) {
                    let found = Warning::expose(&port.text, || self.text.excerpt(&port.span));
                    for Warning { rule, message, .. } in found {
                        self.add(rule, &port.span, Some(stage), message);
                    }
                }
            }
            Command::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label".to_owned();
                self.add(LintRule::MaintainerDeprecated, &manner.name.span, None, message);
            }
            _ => {}
        }
    }

    fn secret(&mut self, instruction: &str, name: &Word, stage: usize) {
        let lower = name.text.to_lowercase();
        let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
        if has(SECRETS) && !has(NO_SECRETS) {
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {:?})", name.text);
            self.add(LintRule::SecretsUsedInArgOrEnv, &name.span, Some(stage), message);
        }
    }

    fn description(&mut self, instruction: &str, manner: &InstructionManner, names: &[&str]) {
        let described = |comment: &&String| Check::of_comment(comment).is_none();
        let Some(comment) = manner.comments.iter().rfind(described) else { return };
        let first = comment.split(' ').next().unwrap_or_default();
        if names.contains(&first) {
            return;
        }
        let example = if let [name] = names { name } else { "<arg_key>" };
        let message = format!("Comment for {instruction} should follow the format: `# {example} <description>`");
        self.add(LintRule::InvalidDefinitionDescription, &manner.name.span, None, message);
    }

    fn stage_names(&mut self, stages: &[DockerfileStage]) {
        let mut seen = BTreeSet::new();
        for name in stages.iter().filter_map(|stage| stage.name.as_ref()) {
            if RESERVED.contains(&name.text.as_str()) {
                let message = format!("Stage name should not use the same name as reserved stage {:?}", name.text);
                self.add(LintRule::ReservedStageName, &name.span, None, message);
            }
            if !seen.insert(&name.text) {
                let message = format!("Duplicate stage name {:?}, stage names should be unique", name.text);
                self.add(LintRule::DuplicateStageName, &name.span, None, message);
            }
        }
    }

    /// All instructions of stages are to have the case that most of them have.
    fn casing(&mut self, spoken: &[Spoken]) {
        let names = || spoken.iter().filter(|spoken| spoken.stage.is_some()).map(|spoken| &spoken.manner.name);
        let lower = names().filter(|name| !is_mixed(&name.text, false)).count();
        let upper = names().filter(|name| !is_mixed(&name.text, true)).count();
        let (to_upper, case) = if lower > upper { (false, "lowercase") } else { (true, "uppercase") };
        for name in names().filter(|name| is_mixed(&name.text, to_upper)) {
            let message = format!("Command '{}' should match the case of the command majority ({case})", name.text);
            self.add(LintRule::ConsistentInstructionCasing, &name.span, None, message);
        }
    }

    /// Notes `CMD`, `ENTRYPOINT` and `HEALTHCHECK` where they are repeated in a stage: each but the last is without
    /// effect.
    fn repetitions(&mut self, stages: &[DockerfileStage], spoken: &[Spoken]) {
        let mut later = BTreeSet::new();
        for instruction in spoken.iter().rev() {
            let (Some(stage), Some(place)) = (instruction.stage, instruction.instruction) else { continue };
            let command = stages[stage].instructions[place].command.name();
            if matches!(command, "CMD" | "ENTRYPOINT" | "HEALTHCHECK") && !later.insert((stage, command)) {
                let name = &instruction.manner.name;
                let message = format!(
                    "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                    name.text
                );
                self.add(LintRule::MultipleInstructionsDisallowed, &name.span, Some(stage), message);
            }
        }
    }

    /// `CMD` and `ENTRYPOINT` in shell form, unless the stage or one below it has chosen the shell.
    fn shell_forms(&mut self, stages: &[DockerfileStage], spoken: &[Spoken]) {
        let mut with_shell: Vec<bool> = Vec::new();
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for instruction in spoken {
            let Some(stage) = instruction.stage else { continue };
            let Some(place) = instruction.instruction else {
                let below = named.get(stages[stage].base.text.as_str());
                with_shell.push(below.is_some_and(|below| with_shell[*below]));
                named.extend(stages[stage].name.as_ref().map(|name| (name.text.as_str(), stage)));
                continue;
            };
            let InstructionManner { name, .. } = &instruction.manner;
            match &stages[stage].instructions[place].command {
                Command::Shell(_) => with_shell[stage] = true,
                Command::Cmd(CommandLine::Shell(_)) | Command::Entrypoint(CommandLine::Shell(_))
                    if !with_shell[stage] =>
                {
                    let message = format!(
                        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                        name.text
                    );
                    self.add(LintRule::JsonArgsRecommended, &name.span, Some(stage), message);
                }
                _ => {}
            }
        }
    }
}

/// Returns whether a letter has another case than it should.
fn is_mixed(word: &str, upper: bool) -> bool {
    if upper { word != word.to_uppercase() } else { word != word.to_lowercase() }
}

/// Returns the names of an `ARG` before the first `FROM`.
fn argument_names(manner: &InstructionManner) -> Vec<&str> {
    manner.words.iter().map(|word| word.text.split('=').next().unwrap_or_default()).collect()
}
