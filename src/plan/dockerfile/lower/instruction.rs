//! What each instruction does to a stage.

use super::made::State;
use super::{Lowering, Scope, expose, windows};
use crate::error::{Error, Excerpt, Result, suggestion};
use crate::plan::dockerfile::word::{Expanded, Lexer, Unset};
use crate::plan::dockerfile::{
    Argument, Command, CommandLine, Instruction, MountFlag, MountKind, Pair, Run, Span, Text, Warning, Word,
};
use crate::plan::{Work, setting};
use crate::tree::path;

/// What runs commands in shell form unless `SHELL` says otherwise.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Lowering<'_, '_> {
    /// Does what `instruction` of the stage `number` says.
    pub fn instruction(&mut self, state: &mut State, number: usize, instruction: &Instruction) -> Result<()> {
        let steps = state.steps.len();
        let applied = self.apply(state, number, instruction);
        let new = state.steps.get(steps..).unwrap_or_default().iter();
        // What it is called is kept in the plan and in the image's history, and its line with it.
        let cost = new.map(|step| 4 * step.title.len() + step.place.as_ref().map_or(0, |place| place.text.len()));
        applied.and_then(|()| self.budget.spend(cost.sum())).map_err(|error| match error.excerpt {
            Some(_) => error,
            None => error.with_excerpt(instruction.excerpt(&instruction.span)),
        })
    }

    fn apply(&mut self, state: &mut State, number: usize, instruction: &Instruction) -> Result<()> {
        let place = instruction.excerpt(&instruction.span);
        let title = match &instruction.command {
            Command::Add(add) => return self.add(state, add, instruction),
            Command::Copy(copy) => return self.copy(state, number, copy, instruction),
            Command::Workdir(path) => return self.workdir(state, path, instruction),
            Command::Run(run) => return self.run(state, number, run, instruction),
            Command::OnBuild(trigger) => {
                state.settings.on_build.get_or_insert_default().push(trigger.text.clone());
                return Ok(());
            }
            Command::Arg(arguments) => self.arg(state, arguments, instruction)?,
            Command::Env(pairs) => {
                let pairs = self.pairs(state, pairs, instruction)?;
                for (name, value) in &pairs {
                    // Each is looked for among all.
                    self.budget.spend(state.settings.env.as_ref().map_or(0, Vec::len))?;
                    set_variable(state, name, value);
                }
                told("ENV", &pairs)
            }
            Command::Label(pairs) => {
                let pairs = self.pairs(state, pairs, instruction)?;
                state.labels.extend(pairs.iter().cloned());
                told("LABEL", &pairs)
            }
            Command::Expose(words) => self.expose(state, words, instruction)?,
            Command::Cmd(line) => {
                state.has_command = true;
                let words = in_shell(state, line);
                let title = format!("CMD {}", list(&words));
                state.settings.cmd = Some(words);
                // Else Windows' docker would quote once more what the shell is to read.
                if state.platform.is_windows() {
                    state.settings.other.insert("ArgsEscaped".to_owned(), true.into());
                }
                title
            }
            Command::Entrypoint(line) => {
                let words = in_shell(state, line);
                let title = format!("ENTRYPOINT {}", list(&words));
                state.settings.entrypoint = Some(words);
                // That of the base was meant for the entrypoint of the base.
                if !state.has_command {
                    state.settings.cmd = None;
                }
                title
            }
            Command::Healthcheck(healthcheck) => {
                state.settings.healthcheck = Some(healthcheck.clone());
                instruction.original.clone()
            }
            Command::Maintainer(name) => {
                state.author = Some(name.text.clone());
                format!("MAINTAINER {}", name.text)
            }
            Command::Shell(words) => {
                state.settings.shell = Some(words.clone());
                format!("SHELL {}", list(words))
            }
            Command::StopSignal(word) => {
                let signal = self.expand(state, instruction, word)?;
                setting::stop_signal(&signal)?;
                state.settings.stop_signal.clone_from(&signal);
                format!("STOPSIGNAL {signal}")
            }
            Command::User(word) => {
                let user = self.expand(state, instruction, word)?;
                state.settings.user.clone_from(&user);
                format!("USER {user}")
            }
            Command::Volume(words) => {
                let paths = self.expand_all(state, instruction, words)?;
                let volumes = state.settings.volumes.get_or_insert_default();
                for path in &paths {
                    if path.is_empty() {
                        return Err(Error::input("a volume's path is empty"));
                    }
                    volumes.insert(path.clone(), serde_json::Value::Object(serde_json::Map::new()));
                }
                format!("VOLUME {}", list(&paths))
            }
        };
        state.push(title, Work::Nothing, place);
        Ok(())
    }

    fn arg(&mut self, state: &mut State, arguments: &[Argument], instruction: &Instruction) -> Result<String> {
        let mut title = "ARG".to_owned();
        for argument in arguments {
            let name = &argument.name.text;
            self.findings.arguments.insert(name.clone());
            let value = match (self.request.arguments.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(state, instruction, default)?),
                (None, None) => self.global.get(name).map(str::to_owned),
            };
            title.push(' ');
            title.push_str(name);
            if let Some(value) = &value {
                state.scope.set(name, value);
                title.push('=');
                title.push_str(value);
            }
            state.scope.arguments.insert(name.clone());
        }
        Ok(title)
    }

    fn run(&mut self, state: &State, number: usize, run: &Run, instruction: &Instruction) -> Result<()> {
        for flag in &run.mounts {
            // What a variable of an image stands for that nobody has seen may be anything.
            if state.scope.is_open && flag.has_variables() {
                continue;
            }
            let place = instruction.excerpt(&flag.span);
            self.mount(state, number, flag, instruction).map_err(|error| match error.excerpt {
                Some(_) => error,
                None => error.with_excerpt(place),
            })?;
        }
        if self.is_check {
            return Ok(());
        }
        Err(Error::input("RUN cannot be executed yet")
            .with_hint("copy what the command would make into the context, or build on an image that has it"))
    }

    /// Refuses a mount that cannot be.
    fn mount(&mut self, state: &State, number: usize, flag: &MountFlag, instruction: &Instruction) -> Result<()> {
        let mount = flag.mount(&mut |word| self.expand(state, instruction, word))?;
        let from = match &mount.kind {
            MountKind::Secret { .. } | MountKind::Ssh { .. } => return Ok(()),
            MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => from.as_deref(),
            MountKind::Tmpfs { .. } => None,
        };
        if state.path(&mount.target)?.is_empty() {
            return Err(Error::input("a mount cannot have the root as its target")
                .with_hint("say where it appears, as in `--mount=type=cache,target=/var/cache`"));
        }
        // A build has no use for it before commands are executed.
        if let Some(from) = from.filter(|_| self.is_check) {
            self.provider(from, number)?;
        }
        Ok(())
    }

    fn workdir(&mut self, state: &mut State, word: &Word, instruction: &Instruction) -> Result<()> {
        let written = self.expand(state, instruction, word)?;
        let place = instruction.excerpt(&instruction.span);
        let is_absolute = state.slashed(written.clone())?.starts_with('/');
        if !state.is_workdir_set && !is_absolute {
            self.warn(Warning::workdir_relative_path(&written, place.clone()))?;
        }
        state.is_workdir_set = true;
        let path = state.path(&written)?;
        path::check_written(path.as_bytes())?;
        // As BuildKit has it, an absolute path stays as it is written, with a slash behind it and all.
        state.settings.working_dir = match state.platform.is_windows() {
            true => windows::workdir(&state.settings.working_dir, &written)?,
            false if is_absolute => written,
            false => format!("/{path}"),
        };
        let title = format!("WORKDIR {}", state.settings.working_dir);
        let owner = Some(state.settings.user.clone()).filter(|user| !user.is_empty() && !state.platform.is_windows());
        let work = if path.is_empty() { Work::Nothing } else { Work::Directory { path, owner } };
        state.push(title, work, place);
        Ok(())
    }

    fn expose(&mut self, state: &mut State, words: &[Word], instruction: &Instruction) -> Result<String> {
        let mut all = Vec::new();
        for word in words {
            // BuildKit has no word on variables that are not declared here.
            let expanded = expand(self.dockerfile.directives.escape, word, &state.scope, &instruction.text)?;
            self.budget.spend(expanded.cost)?;
            let place = || instruction.excerpt(&word.span);
            for text in &expanded.words {
                if *text != word.text {
                    Warning::expose(text, place).into_iter().try_for_each(|warning| self.warn(warning))?;
                }
                all.extend(expose::ports(text).map_err(|error| error.with_excerpt(place()))?);
            }
        }
        let ports = state.settings.exposed_ports.get_or_insert_default();
        for port in &all {
            ports.insert(port.clone(), serde_json::Value::Object(serde_json::Map::new()));
        }
        Ok(format!("EXPOSE {}", list(&all)))
    }

    fn pairs(&mut self, state: &State, pairs: &[Pair], instruction: &Instruction) -> Result<Vec<(String, String)>> {
        let pair = |pair: &Pair| {
            let key = self.expand(state, instruction, &pair.key)?;
            if key.is_empty() {
                let place = instruction.excerpt(&pair.key.span);
                return Err(Error::input(format!("the name `{}` is empty", pair.key.text)).with_excerpt(place));
            }
            Ok((key, self.expand(state, instruction, &pair.value)?))
        };
        pairs.iter().map(pair).collect()
    }

    pub fn expand_all(&mut self, state: &State, instruction: &Instruction, words: &[Word]) -> Result<Vec<String>> {
        words.iter().map(|word| self.expand(state, instruction, word)).collect()
    }

    /// What `word` comes to with the variables of the stage.
    pub fn expand(&mut self, state: &State, instruction: &Instruction, word: &Word) -> Result<String> {
        Ok(self.expanded(state, instruction, word)?.text)
    }

    fn expanded(&mut self, state: &State, instruction: &Instruction, word: &Word) -> Result<Expanded> {
        let expanded = expand(self.dockerfile.directives.escape, word, &state.scope, &instruction.text)?;
        self.budget.spend(expanded.cost)?;
        for unset in &expanded.unset {
            self.budget.spend(word.span.len())?; // of which the line is found
            self.note_undefined(unset, state, || instruction.excerpt(&part(word, &unset.at, &instruction.text)))?;
        }
        Ok(expanded)
    }

    /// The same for the content of a heredoc, in which quotes are what they are.
    pub fn expand_content(&mut self, state: &State, instruction: &Instruction, content: &str) -> Result<String> {
        let place = instruction.excerpt(&instruction.span);
        let expanded = Lexer::heredoc().expand(content, &|name| state.scope.get(name));
        let expanded = expanded.map_err(|error| Error::input(error.message).with_excerpt(place.clone()))?;
        self.budget.spend(expanded.cost)?;
        expanded.unset.iter().try_for_each(|unset| self.note_undefined(unset, state, || place.clone()))?;
        Ok(expanded.text)
    }

    pub fn expand_in_from(&mut self, scope: &Scope, word: &Word) -> Result<Expanded> {
        let text = &self.dockerfile.text;
        let expanded = expand(self.dockerfile.directives.escape, word, scope, text)?;
        self.budget.spend(expanded.cost).map_err(|error| error.with_excerpt(text.excerpt(&word.span)))?;
        Ok(expanded)
    }

    fn note_undefined(&mut self, unset: &Unset, state: &State, place: impl Fn() -> Excerpt) -> Result<()> {
        let name = &unset.name;
        if !state.scope.is_open && !state.scope.arguments.contains(name) {
            self.budget.spend(state.scope.names().map(str::len).sum())?;
            let near = suggestion(name, state.scope.names());
            self.warn(Warning::undefined_var(name, near, place()))?;
        }
        Ok(())
    }
}

/// What `word`, a part of `text`, comes to.
pub fn expand(escape: char, word: &Word, scope: &Scope, text: &Text) -> Result<Expanded> {
    let expanded = Lexer::new(escape).expand(&word.text, &|name| scope.get(name));
    expanded.map_err(|error| Error::input(error.message).with_excerpt(text.excerpt(&part(word, &error.at, text))))
}

/// Where a part of `word` stands in `text`; all of the word if it runs over several lines.
fn part(word: &Word, part: &Span, text: &Text) -> Span {
    match text.content.get(word.span.clone()) {
        Some(written) if written == word.text => word.span.start + part.start..word.span.start + part.end,
        _ => word.span.clone(),
    }
}

fn set_variable(state: &mut State, name: &str, value: &str) {
    state.scope.set(name, value);
    let variables = state.settings.env.get_or_insert_default();
    let is_same = |set: &&mut String| set.split_once('=').map_or(set.as_str(), |(set, _)| set) == name;
    let text = format!("{name}={value}");
    match variables.iter_mut().find(is_same) {
        Some(set) => *set = text,
        None => variables.push(text),
    }
}

fn in_shell(state: &State, line: &CommandLine) -> Vec<String> {
    match line {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(command) => {
            let shell = state.settings.shell.clone().filter(|shell| !shell.is_empty());
            let usual = || if state.platform.is_windows() { &windows::SHELL[..] } else { &SHELL };
            let mut words = shell.unwrap_or_else(|| usual().iter().map(|word| (*word).to_owned()).collect());
            words.push(command.text.clone());
            words
        }
    }
}

fn told(name: &str, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().flat_map(|(key, value)| [" ", key, "=", value]);
    std::iter::once(name).chain(pairs).collect()
}

fn list(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}
