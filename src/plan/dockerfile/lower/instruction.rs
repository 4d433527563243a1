//! What each instruction does to a stage.

use super::made::StageState;
use super::{Lowering, setting, windows};
use crate::error::Result;
use crate::plan::dockerfile::{Command, Instruction, Warning, Word};
use crate::plan::{Directory, Work};
use crate::tree::path;

impl Lowering<'_, '_> {
    /// Does what `instruction` of the stage `number` says. Fails with the line of the instruction.
    pub fn instruction(&mut self, state: &mut StageState, number: usize, instruction: &Instruction) -> Result<()> {
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

    fn apply(&mut self, state: &mut StageState, number: usize, instruction: &Instruction) -> Result<()> {
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
            Command::Env(pairs) => self.env(state, pairs, instruction)?,
            Command::Label(pairs) => self.label(state, pairs, instruction)?,
            Command::Expose(words) => self.expose(state, words, instruction)?,
            Command::Cmd(line) => setting::cmd(state, line),
            Command::Entrypoint(line) => setting::entrypoint(state, line),
            Command::Healthcheck(healthcheck) => {
                state.settings.healthcheck = Some(healthcheck.clone());
                instruction.original.clone()
            }
            Command::Maintainer(name) => {
                state.author = Some(name.text.clone());
                format!("MAINTAINER {}", name.text)
            }
            Command::Shell(words) => setting::shell(state, words),
            Command::StopSignal(word) => self.stop_signal(state, word, instruction)?,
            Command::User(word) => self.user(state, word, instruction)?,
            Command::Volume(words) => self.volume(state, words, instruction)?,
        };
        state.push(title, Work::Nothing, place);
        Ok(())
    }

    fn workdir(&mut self, state: &mut StageState, word: &Word, instruction: &Instruction) -> Result<()> {
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
        let work = if path.is_empty() { Work::Nothing } else { Work::Directory(Directory { path, owner }) };
        state.push(title, work, place);
        Ok(())
    }
}
