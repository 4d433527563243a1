//! The commands of a build, as events tell of them, for `--metadata-file`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::progress::{CommandEnd, Event, StepPlace};
use crate::sync::locked;

/// The commands that a build has run, and those that it did not have to.
#[derive(Default)]
pub struct Commands {
    noted: Mutex<BTreeMap<usize, Command>>,
    is_over: AtomicBool,
}

struct Command {
    target: Option<String>,
    line: Option<usize>,
    stage: String,
    number: usize,
    platform: String,
    title: String,
    is_cached: bool,
    milliseconds: u64,
    end: Option<CommandEnd>,
}

impl Commands {
    /// Notes what `event` tells of a command, if it does.
    pub fn note(&self, event: Event<'_>) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        match event {
            Event::CommandStarted { command, step } => {
                locked(&self.noted).insert(command, Command::new(step, false));
            }
            Event::CommandKnown { command, step } => {
                locked(&self.noted).insert(command, Command::new(step, true));
            }
            Event::CommandFinished { command, elapsed, end } => {
                if let Some(command) = locked(&self.noted).get_mut(&command) {
                    command.milliseconds = elapsed.as_millis() as u64;
                    command.end = end;
                }
            }
            _ => {}
        }
    }

    /// Notes no more: what is run from now on makes nothing that stays.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Returns what was noted of the `target`, none where one alone was built, in the order of the lines; none if it had no
    /// commands.
    pub fn told(&self, target: Option<&str>) -> Option<Value> {
        let commands = locked(&self.noted);
        let mut all: Vec<&Command> = commands.values().filter(|command| command.target.as_deref() == target).collect();
        all.sort_by_key(|command| (command.line, &command.stage, command.number, &command.platform));
        let told: Vec<Value> = all.into_iter().map(Command::told).collect();
        (!told.is_empty()).then(|| told.into())
    }
}

impl Command {
    fn new(StepPlace { title, target, stage, platform, number, line, .. }: StepPlace<'_>, is_cached: bool) -> Self {
        Command {
            target: target.map(str::to_owned),
            line,
            stage: stage.to_owned(),
            number,
            platform: platform.to_string(),
            title: title.to_owned(),
            is_cached,
            milliseconds: 0,
            end: None,
        }
    }

    fn told(&self) -> Value {
        let mut told = json!({
            "stage": self.stage,
            "step": self.number,
            "line": self.line,
            "platform": self.platform,
            "title": self.title,
            "cached": self.is_cached,
        });
        if !self.is_cached {
            told["milliseconds"] = self.milliseconds.into();
        }
        match self.end {
            Some(CommandEnd::Status(status)) => told["status"] = status.into(),
            Some(CommandEnd::Signal(signal)) => told["signal"] = signal.into(),
            None => {}
        }
        told
    }
}
