//! The instructions that change a stage's settings and none of its files. Each returns its title, which becomes a part of
//! the image's history.

use super::expand::expand;
use super::made::StageState;
use super::{Lowering, expose, windows};
use crate::error::{Error, Result};
use crate::plan::dockerfile::{Argument, CommandLine, Instruction, Pair, Warning, Word};
use crate::plan::git_arguments;
use crate::plan::setting::stop_signal;

/// The shell of commands in shell form unless `SHELL` says otherwise.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Lowering<'_, '_> {
    /// Does what `ARG` says.
    pub fn arg(&mut self, state: &mut StageState, arguments: &[Argument], instruction: &Instruction) -> Result<String> {
        let mut title = "ARG".to_owned();
        for argument in arguments {
            let name = &argument.name.text;
            self.findings.arguments.insert(name.clone());
            let value = match (self.request.arguments.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(state, instruction, default)?),
                (None, None) => self.global.get(name).map(str::to_owned).or_else(|| self.git_argument(name)),
            };
            let is_given = self.request.arguments.contains_key(name) || argument.default.is_some();
            let is_global = !is_given && self.global.get(name).is_some();
            self.note_argument(argument, value.as_deref(), is_global, instruction);
            title.push(' ');
            title.push_str(name);
            if let Some(value) = &value {
                state.scope.set(name, value);
                title.push('=');
                title.push_str(value);
            }
            if state.scope.arguments.insert(name.clone()) {
                state.declared.push(name.clone());
            }
        }
        Ok(title)
    }

    /// Returns the value that the tag or git has for an `ARG` without one, if that is wanted; it is noted anyway.
    fn git_argument(&mut self, name: &str) -> Option<String> {
        let value = git_arguments::value(name, self.request.automatic)?;
        self.findings.git_arguments.insert(name.to_owned(), value.clone());
        self.request.git_arguments.then_some(value)
    }

    /// Does what `ENV` says.
    pub fn env(&mut self, state: &mut StageState, pairs: &[Pair], instruction: &Instruction) -> Result<String> {
        let pairs = self.pairs(state, pairs, instruction)?;
        for (name, value) in &pairs {
            // Each is looked for among all.
            self.budget.spend(state.settings.env.as_ref().map_or(0, Vec::len))?;
            set_variable(state, name, value);
        }
        Ok(told("ENV", &pairs))
    }

    /// Does what `LABEL` says.
    pub fn label(&mut self, state: &mut StageState, pairs: &[Pair], instruction: &Instruction) -> Result<String> {
        let pairs = self.pairs(state, pairs, instruction)?;
        state.labels.extend(pairs.iter().cloned());
        Ok(told("LABEL", &pairs))
    }

    /// Does what `EXPOSE` says.
    pub fn expose(&mut self, state: &mut StageState, words: &[Word], instruction: &Instruction) -> Result<String> {
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
        Ok(format!("EXPOSE {}", plain(&all)))
    }

    /// Does what `STOPSIGNAL` says.
    pub fn stop_signal(&mut self, state: &mut StageState, word: &Word, instruction: &Instruction) -> Result<String> {
        let signal = self.expand(state, instruction, word)?;
        stop_signal(&signal)?;
        state.settings.stop_signal.clone_from(&signal);
        Ok(format!("STOPSIGNAL {signal}"))
    }

    /// Does what `USER` says.
    pub fn user(&mut self, state: &mut StageState, word: &Word, instruction: &Instruction) -> Result<String> {
        let user = self.expand(state, instruction, word)?;
        state.settings.user.clone_from(&user);
        Ok(format!("USER {user}"))
    }

    /// Does what `VOLUME` says.
    pub fn volume(&mut self, state: &mut StageState, words: &[Word], instruction: &Instruction) -> Result<String> {
        let paths = self.expand_all(state, instruction, words)?;
        let volumes = state.settings.volumes.get_or_insert_default();
        for path in &paths {
            if path.is_empty() {
                return Err(Error::input("a volume's path is empty"));
            }
            volumes.insert(path.clone(), serde_json::Value::Object(serde_json::Map::new()));
        }
        Ok(format!("VOLUME {}", plain(&paths)))
    }

    fn pairs(
        &mut self,
        state: &StageState,
        pairs: &[Pair],
        instruction: &Instruction,
    ) -> Result<Vec<(String, String)>> {
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
}

/// Does what `CMD` says.
pub fn cmd(state: &mut StageState, line: &CommandLine) -> String {
    state.has_command = true;
    let words = in_shell(state, line);
    let title = format!("CMD {}", quoted(&words));
    state.settings.cmd = Some(words);
    // Else Windows' docker would quote once more what the shell is to read.
    if state.platform.is_windows() {
        state.settings.other.insert("ArgsEscaped".to_owned(), true.into());
    }
    title
}

/// Does what `ENTRYPOINT` says.
pub fn entrypoint(state: &mut StageState, line: &CommandLine) -> String {
    let words = in_shell(state, line);
    let title = format!("ENTRYPOINT {}", quoted(&words));
    state.settings.entrypoint = Some(words);
    // That of the base was meant for the entrypoint of the base.
    if !state.has_command {
        state.settings.cmd = None;
    }
    title
}

/// Does what `SHELL` says.
pub fn shell(state: &mut StageState, words: &[String]) -> String {
    state.settings.shell = Some(words.to_vec());
    format!("SHELL {}", plain(words))
}

fn set_variable(state: &mut StageState, name: &str, value: &str) {
    state.scope.set(name, value);
    let variables = state.settings.env.get_or_insert_default();
    let is_same = |set: &&mut String| set.split_once('=').map_or(set.as_str(), |(set, _)| set) == name;
    let text = format!("{name}={value}");
    match variables.iter_mut().find(is_same) {
        Some(set) => *set = text,
        None => variables.push(text),
    }
}

/// Returns the words of a command: in shell form, those of the shell with the line behind them.
pub fn in_shell(state: &StageState, line: &CommandLine) -> Vec<String> {
    match line {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(command) => shell_with(state, &command.text),
    }
}

/// Returns the words that have the shell read `script`.
pub fn shell_with(state: &StageState, script: &str) -> Vec<String> {
    let shell = state.settings.shell.clone().filter(|shell| !shell.is_empty());
    let usual = || if state.platform.is_windows() { &windows::SHELL[..] } else { &SHELL };
    let mut words = shell.unwrap_or_else(|| usual().iter().map(|word| (*word).to_owned()).collect());
    words.push(script.to_owned());
    words
}

fn told(name: &str, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().flat_map(|(key, value)| [" ", key, "=", value]);
    std::iter::once(name).chain(pairs).collect()
}

/// Returns the words as docker's history has those of a command.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

/// Returns the words as docker's history has all others.
fn plain(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}
