//! `RUN`: what is run, and what it is given.

use super::Lowering;
use super::made::StageState;
use super::setting::shell_with;
use crate::error::{Error, Result};
use crate::plan::dockerfile::heredoc::opening;
use crate::plan::dockerfile::{CommandLine, Heredoc, Instruction, RunCommand};
use crate::plan::{Entitlement, Run, RunFile, RunMountKind, RunNetwork, RunSecurity, SecretVariable, Work};
use crate::tree::pattern::from_root;

/// The directory of scripts that are run as programs.
const SCRIPTS: &str = "/dev/pipes";

/// The variable that tells programs where the SSH agent is.
const AGENT: &str = "SSH_AUTH_SOCK";

/// What is run, and the scripts that this needs.
#[derive(Default)]
struct Program {
    arguments: Vec<String>,
    files: Vec<RunFile>,
}

impl Lowering<'_, '_> {
    /// Adds the step of `RUN` in the stage `number`. Checks look at its mounts alone.
    pub fn run(
        &mut self,
        state: &mut StageState,
        number: usize,
        run: &RunCommand,
        instruction: &Instruction,
    ) -> Result<()> {
        let mounts = self.mounts(state, number, run, instruction)?;
        if self.is_check {
            self.note_mounts(&mounts.mounts, &mounts.secret_variables, instruction);
            return Ok(());
        }
        self.refuse_what_is_not_allowed(state, run, instruction)?;
        let Program { arguments, files } = program(state, run)?;
        let mut environment: Vec<(String, String)> = state.scope.in_order();
        let agent = mounts.mounts.iter().find(|mount| matches!(mount.kind, RunMountKind::Ssh { .. }));
        if let Some(agent) = agent.filter(|_| state.scope.get(AGENT).is_none()) {
            environment.push((AGENT.to_owned(), agent.target.clone()));
        }
        let mut work = Run {
            arguments,
            files,
            environment,
            secret_variables: mounts.secret_variables,
            directory: format!("/{}", from_root(&state.settings.working_dir)),
            user: state.settings.user.clone(),
            network: run.network,
            security: run.security,
            mounts: mounts.mounts,
        };
        work.mounts.sort_by(|one, other| one.target.cmp(&other.target));
        check_characters(&work)?;
        let title = title(run, instruction);
        let created_by = created_by(state, &work);
        self.budget.spend(size(&work) + created_by.len())?;
        state.push_with_history(title, created_by, Work::Run(work), instruction.excerpt(&instruction.span));
        Ok(())
    }

    /// Wherever the instruction comes from, an `ONBUILD` of a base included.
    fn refuse_what_is_not_allowed(
        &self,
        state: &StageState,
        run: &RunCommand,
        instruction: &Instruction,
    ) -> Result<()> {
        if state.platform.is_windows() {
            return Err(Error::input("a command of an image for Windows cannot be executed here")
                .with_hint("build it where Windows runs, or copy what the command would make into the context"));
        }
        if let Some(device) = run.devices.first() {
            return Err(Error::input(format!(
                "the device `{}` is not available: a build has no devices",
                device.name.text
            ))
            .with_excerpt(instruction.excerpt(&device.name.span))
            .with_hint("leave `--device` out, or do what needs the device in a container of the image"));
        }
        let asked = [
            (run.network == RunNetwork::Host, "--network=host", Entitlement::NetworkHost),
            (run.security == RunSecurity::Insecure, "--security=insecure", Entitlement::SecurityInsecure),
        ];
        for (_, flag, entitlement) in asked.into_iter().filter(|(is_asked, ..)| *is_asked) {
            if !self.request.allowed.contains(&entitlement) {
                let name = entitlement.name();
                return Err(Error::input(format!("`{flag}` is not allowed in this build"))
                    .with_hint(format!("if you trust the Dockerfile and its bases, allow it with --allow {name}")));
            }
        }
        Ok(())
    }
}

/// Returns what is run as BuildKit has it: a single heredoc is the script itself, in which the shell alone expands variables.
fn program(state: &StageState, run: &RunCommand) -> Result<Program> {
    let line = match &run.line {
        CommandLine::Exec(arguments) if arguments.is_empty() => {
            return Err(Error::input("`RUN []` runs nothing").with_hint("name a program, as in `RUN [\"/bin/true\"]`"));
        }
        CommandLine::Exec(arguments) => return Ok(Program { arguments: arguments.clone(), files: Vec::new() }),
        CommandLine::Shell(line) => line,
    };
    let script = match &run.heredocs[..] {
        [] => line.text.clone(),
        [heredoc, ..] if opening(&line.text).is_some() => {
            let script = heredoc.stripped();
            if script.starts_with("#!") {
                return executable(heredoc, script);
            }
            script
        }
        heredocs => whole(&line.text, heredocs),
    };
    Ok(Program { arguments: shell_with(state, &script), files: Vec::new() })
}

/// Returns the line with its heredocs below it, for a shell to read them.
fn whole(line: &str, heredocs: &[Heredoc]) -> String {
    let mut script = line.to_owned();
    for Heredoc { name, content, .. } in heredocs {
        script.push('\n');
        script.push_str(content);
        script.push_str(name);
    }
    script
}

/// Returns a script that says itself what it is run by.
fn executable(heredoc: &Heredoc, script: String) -> Result<Program> {
    let name = &heredoc.name;
    if name.contains('/') || matches!(name.as_str(), "." | "..") {
        return Err(Error::input(format!("`{name}` cannot be the name of a script"))
            .with_hint("the script becomes a file of that name: take one without a slash, such as EOF"));
    }
    let path = format!("{SCRIPTS}/{name}");
    let file = RunFile { path: path.clone(), content: script.into(), mode: 0o755 };
    Ok(Program { arguments: vec![path], files: vec![file] })
}

/// Returns what progress calls it: the instruction as it was written and, of a script, its first line.
fn title(run: &RunCommand, instruction: &Instruction) -> String {
    let arguments = instruction.original.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    let title = format!("RUN {arguments}");
    let line = match &run.line {
        CommandLine::Shell(line) => opening(&line.text).and(run.heredocs.first()),
        CommandLine::Exec(_) => None,
    };
    let Some(script) = line else { return title.trim_end().to_owned() };
    let mut lines = script.content.trim().lines();
    let first = lines.next().unwrap_or_default();
    let rest = if lines.next().is_some() { "..." } else { "" };
    format!("{title} ({first}{rest})")
}

/// Returns the line of the history as BuildKit writes it: the arguments of the build that the command sees, and the command;
/// of a script that is run as a program, it says a shell before it.
fn created_by(state: &StageState, run: &Run) -> String {
    let declared = &state.declared;
    let mut words = vec!["RUN".to_owned()];
    if !declared.is_empty() {
        words.push(format!("|{}", declared.len()));
        words.extend(declared.iter().map(|name| format!("{name}={}", state.scope.get(name).unwrap_or_default())));
    }
    words.extend(match &run.files[..] {
        [] => run.arguments.clone(),
        [script, ..] => shell_with(state, &script.path),
    });
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Fails for a NUL byte in what the kernel takes: of an image's settings it may come, or of a JSON array.
fn check_characters(run: &Run) -> Result<()> {
    let has_nul = |text: &String| text.contains('\0');
    if run.arguments.iter().any(has_nul) {
        return Err(Error::input("a command cannot hold a NUL byte"));
    }
    if let Some((name, _)) = run.environment.iter().find(|(name, value)| has_nul(name) || has_nul(value)) {
        let name = name.replace('\0', "\u{2400}");
        return Err(Error::input(format!("the variable `{name}` cannot hold a NUL byte")));
    }
    if has_nul(&run.directory) || has_nul(&run.user) {
        return Err(Error::input("a working directory and a user cannot hold a NUL byte"));
    }
    Ok(())
}

/// Returns about what `run` keeps in memory, in bytes.
fn size(run: &Run) -> usize {
    let Run { arguments, files, environment, secret_variables, directory, user, network: _, security: _, mounts } = run;
    let text = |text: &String| text.len() + size_of::<String>();
    arguments.iter().map(text).sum::<usize>()
        + files.iter().map(|file| file.path.len() + file.content.len()).sum::<usize>()
        + environment.iter().map(|(name, value)| text(name) + text(value)).sum::<usize>()
        + secret_variables.iter().map(|SecretVariable { name, id, .. }| text(name) + text(id)).sum::<usize>()
        + mounts.iter().map(|mount| size_of_val(mount) + 3 * mount.target.len()).sum::<usize>()
        + directory.len()
        + user.len()
}
